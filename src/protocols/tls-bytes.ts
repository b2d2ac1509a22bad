// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../model/protocol.ts";

/** Content types and the plainest limits of TLS records: RFC 8446 section 5, RFC 5246 section 6.2. */
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const VERSION_MAJOR = 3;
const VERSION_MINOR_MAX = 4;
const RECORD_BYTES_MAX = 2 ** 14 + 2048;
const HEADER_BYTES = 5;

/**
 * Could a TLS record start with these bytes? A handshake's hello, or any record of an established
 * session. Where the bytes reach beyond the record, the next one must start there.
 */
export function detectTls(bytes: Uint8Array, start: number, end: number): Detection {
  const type = bytes[start] ?? 0;
  if (start >= end) return "more";
  if (type < CHANGE_CIPHER_SPEC || type > APPLICATION_DATA) return "no";
  if (end - start >= 2 && bytes[start + 1] !== VERSION_MAJOR) return "no";
  if (end - start <= HEADER_BYTES) return "more";
  if ((bytes[start + 2] ?? 0) > VERSION_MINOR_MAX) return "no";
  const length = ((bytes[start + 3] ?? 0) << 8) | (bytes[start + 4] ?? 0);
  if (!isPlausible(type, length, bytes[start + HEADER_BYTES] ?? 0)) return "no";
  const next = start + HEADER_BYTES + length;
  if (next >= end) return "yes";
  const nextType = bytes[next] ?? 0;
  const fits = nextType >= CHANGE_CIPHER_SPEC && nextType <= APPLICATION_DATA;
  return fits && (next + 1 >= end || bytes[next + 1] === VERSION_MAJOR) ? "yes" : "no";
}

function isPlausible(type: number, length: number, first: number): boolean {
  if (length === 0 || length > RECORD_BYTES_MAX) return false;
  if (type === CHANGE_CIPHER_SPEC) return length === 1 && first === 1;
  if (type === ALERT) return length === 2 || (length >= 16 && length <= 256);
  if (type === HANDSHAKE) return first === CLIENT_HELLO || first === SERVER_HELLO;
  return length >= 16;
}
