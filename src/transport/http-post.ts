// SPDX-License-Identifier: Apache-2.0
import type { RequestHeaders } from "../component/auth.ts";
import { AgentError } from "../component/errors.ts";

/** Without what a URL may hold in front of its host or behind its path. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** No answer came: to be tried again. */
export function postError(url: URL, cause: unknown): AgentError {
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  const message = `failed to make an HTTP request: Post "${shownUrl(url)}": ${reason}`;
  return new AgentError("BS_EXPORT", message, { cause, retryable: true });
}

/** `changes` over `headers`; undefined takes a header away. */
export function withHeaders(
  headers: Readonly<Record<string, string>>,
  changes: RequestHeaders | undefined,
): Readonly<Record<string, string>> {
  if (changes === undefined) return headers;
  const all = Object.entries({ ...headers, ...changes });
  const kept = all.filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(kept);
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3), in milliseconds from now. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}
