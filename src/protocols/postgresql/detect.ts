// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";

export const SSL_REQUEST = 80877103;
export const GSSENC_REQUEST = 80877104;
export const CANCEL_REQUEST = 80877102;

/** Message types, https://www.postgresql.org/docs/current/protocol-message-formats.html */
export const FRONTEND: Uint8Array = typeTable("QPBEDCSHXFdcfp");
export const BACKEND: Uint8Array = typeTable("RKSZCIENATDtns123GHWdcVv");

const QUERY = 0x51;
const PARSE = 0x50;
const BIND = 0x42;
const LENGTH_MAX = 2 ** 24;
const STARTUP_LENGTH_MAX = 10_000;
const TEXT_CHECKED = 16;

function typeTable(types: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const type of types) table[type.charCodeAt(0)] = 1;
  return table;
}

/**
 * Could a client's packet start with these bytes: a startup packet, or one of the messages with
 * which a statement begins? Servers send none of these types.
 */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const first = bytes[start];
  if (start >= end) return "more";
  if (first === 0) return detectStartup(bytes, start, end);
  if (first !== QUERY && first !== PARSE && first !== BIND) return "no";
  if (end - start < 5) return bytes[start + 1] === 0 || end - start === 1 ? "more" : "no";
  const length = readInt32(bytes, start + 1);
  if (length < (first === BIND ? 12 : first === PARSE ? 8 : 5) || length > LENGTH_MAX) return "no";
  const next = start + 1 + length;
  if (!isBody(bytes, { type: first, start: start + 5, end: Math.min(next, end) })) return "no";
  if (next > end) return end - start >= 8 ? "yes" : "more";
  if (first === QUERY && bytes[next - 1] !== 0) return "no";
  return next === end || FRONTEND[bytes[next] ?? 0] === 1 ? "yes" : "no";
}

function detectStartup(bytes: Uint8Array, start: number, end: number): Detection {
  if (end - start < 8) return end - start < 2 || bytes[start + 1] === 0 ? "more" : "no";
  const length = readInt32(bytes, start);
  if (length < 8 || length > STARTUP_LENGTH_MAX) return "no";
  const code = readInt32(bytes, start + 4);
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) return length === 8 ? "yes" : "no";
  if (code === CANCEL_REQUEST) return length >= 16 ? "yes" : "no";
  return code >>> 16 === 3 && (code & 0xffff) <= 2 && length > 8 ? "yes" : "no";
}

/** A name that ends with NUL comes before the text of a Parse and before a Bind's second name. */
function isBody(
  bytes: Uint8Array,
  body: { readonly type: number; readonly start: number; readonly end: number },
): boolean {
  let at = body.start;
  if (body.type !== QUERY) {
    while (at < body.end && bytes[at] !== 0) if (!isText(bytes[at++] ?? 0)) return false;
    at++;
  }
  const limit = Math.min(body.end, at + TEXT_CHECKED);
  while (at < limit && bytes[at] !== 0) if (!isText(bytes[at++] ?? 0)) return false;
  return true;
}

function isText(byte: number): boolean {
  return byte >= 0x20 ? byte !== 0x7f : byte >= 9 && byte <= 13;
}

export function readInt32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
