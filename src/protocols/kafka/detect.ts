// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint16, readUint32 } from "../byte-cursor.ts";
import { apiOf, CONTROLLED_SHUTDOWN } from "./apis.ts";

/** A response of nothing but its correlation id. */
export const FRAME_BYTES_MIN = 4;
/** Ten times a broker's default of `socket.request.max.bytes`. */
export const FRAME_BYTES_MAX: number = 2 ** 30;

/** Client ids in use are shorter; longer ones are taken for something else. */
const CLIENT_ID_BYTES_MAX = 512;
const CLIENT_ID_AT = 14;

/**
 * Could a request start with these bytes? Size, an API and version that exist, a correlation id
 * that is not negative and a client id of printable characters that fits into the size. A request
 * without a client id is a weak guess.
 */
export function detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
  if (end - start < CLIENT_ID_AT) return detectBeginning(bytes, start, end);
  const size = readUint32(bytes, start);
  const api = apiOf(readUint16(bytes, start + 4), readUint16(bytes, start + 6));
  if (size < CLIENT_ID_AT - 6 || size > FRAME_BYTES_MAX || api === undefined) return "no";
  if (readUint32(bytes, start + 8) > 0x7fffffff) return "no";
  if (api.key === CONTROLLED_SHUTDOWN && readUint16(bytes, start + 6) === 0) return "weak";
  const length = readUint16(bytes, start + 12);
  if (length === 0xffff || length === 0) return size >= 10 ? "weak" : "no";
  if (length > CLIENT_ID_BYTES_MAX || length + 10 > size) return "no";
  const stop = Math.min(end, start + CLIENT_ID_AT + length);
  for (let at = start + CLIENT_ID_AT; at < stop; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte === 0x7f) return "no";
  }
  if (stop < start + CLIENT_ID_AT + length) return "more";
  return length >= 3 ? "yes" : "weak";
}

/** The first bytes of a request: its size and key are small numbers. */
function detectBeginning(bytes: Uint8Array, start: number, end: number): Detection {
  if (end - start >= 4) {
    const size = readUint32(bytes, start);
    if (size < CLIENT_ID_AT - 6 || size > FRAME_BYTES_MAX) return "no";
  }
  if (end - start >= 8) {
    const version = readUint16(bytes, start + 6);
    if (apiOf(readUint16(bytes, start + 4), version) === undefined) return "no";
  }
  return "more";
}
