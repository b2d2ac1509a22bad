// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { isTokenByte } from "../http/characters.ts";
import { METHOD_BYTES } from "../http/methods.ts";

const SPACE = 32;
const LF = 10;
const CR = 13;
const HTTP_1 = new TextEncoder().encode("HTTP/1.");
const METHOD_BYTES_MAX = 64;

/** Could an HTTP/1 message, request or response, start with these bytes? */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const response = detectResponse(bytes, start, end);
  if (response !== "no") return response;
  return detectRequest(bytes, start, end);
}

/** A status line up to its code. */
export function detectResponse(bytes: Uint8Array, start: number, end: number): Detection {
  const at = matchVersion(bytes, start, end);
  if (at < 0) return at === -1 ? "more" : "no";
  for (let index = 0; index < 4; index++) {
    if (at + index >= end) return "more";
    const byte = bytes[at + index] ?? 0;
    const fits = index === 0 ? byte === SPACE : byte >= 48 && byte <= 57;
    if (!fits) return "no";
  }
  return "yes";
}

/**
 * A whole request line, or as much of one as there is. A method that nobody registered is believed
 * when the whole line is there.
 */
export function detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
  let at = start;
  const limit = Math.min(end, start + METHOD_BYTES_MAX);
  while (at < limit && isTokenByte(bytes[at] ?? 0)) at++;
  if (at === end) return at === start || isMethodPrefix(bytes, start, end) ? "more" : "no";
  if (at === start || bytes[at] !== SPACE) return "no";
  const known = isMethodPrefix(bytes, start, at);
  at++;
  const target = at;
  while (at < end && (bytes[at] ?? 0) > SPACE) at++;
  if (at === end) return known ? "more" : "no";
  if (at === target || bytes[at] !== SPACE) return "no";
  const version = matchVersion(bytes, at + 1, end);
  if (version === -1) return known ? "more" : "no";
  if (version < 0) return "no";
  const next = bytes[version];
  return version === end || next === CR || next === LF ? "yes" : "no";
}

/** The offset after `HTTP/1.` and a digit; -1 when the bytes end before, -2 when they differ. */
function matchVersion(bytes: Uint8Array, start: number, end: number): number {
  for (let index = 0; index < HTTP_1.length; index++) {
    if (start + index >= end) return -1;
    if (bytes[start + index] !== HTTP_1[index]) return -2;
  }
  const at = start + HTTP_1.length;
  if (at >= end) return -1;
  const digit = (bytes[at] ?? 0) - 48;
  return digit >= 0 && digit <= 9 ? at + 1 : -2;
}

/** The bytes are a known method or its beginning. */
function isMethodPrefix(bytes: Uint8Array, start: number, end: number): boolean {
  for (const method of METHOD_BYTES) {
    if (end - start > method.length) continue;
    let index = 0;
    while (index < end - start && bytes[start + index] === method[index]) index++;
    if (index === end - start) return true;
  }
  return false;
}
