// SPDX-License-Identifier: Apache-2.0

/** An error's own words, for the end of a sentence. */
export function messageText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
