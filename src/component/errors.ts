// SPDX-License-Identifier: Apache-2.0

/** Documented in docs/errors.md; a code is never used for something else. */
export type ErrorCode =
  | "BS_CONFIG"
  | "BS_START"
  | "BS_PRIVILEGE"
  | "BS_KERNEL_UNSUPPORTED"
  | "BS_EXPORT"
  | "BS_INTERNAL";

/** An error's own words, for the end of a sentence. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What went wrong, where, and what to do, in one message. */
export class AgentError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** The other side asked to wait this long before the next try. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly retryable?: boolean;
      readonly retryAfterMs?: number;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "AgentError";
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}
