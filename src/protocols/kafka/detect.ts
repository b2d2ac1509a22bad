// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint16, readUint32 } from "../byte-cursor.ts";
import { apiOf, CONTROLLED_SHUTDOWN, PRODUCE } from "./apis.ts";

/** A response of nothing but its correlation id. */
export const FRAME_BYTES_MIN = 4;
/** Ten times a broker's default of `socket.request.max.bytes`. */
export const FRAME_BYTES_MAX: number = 2 ** 30;

/** Client ids in use are shorter; longer ones are taken for something else. */
const CLIENT_ID_BYTES_MAX = 512;
const CLIENT_ID_AT = 14;
/** Versions of Produce with a transaction's id, and with compact fields. */
const TRANSACTIONAL_PRODUCE = 3;
const FLEXIBLE_PRODUCE = 9;
const MAX_TIMEOUT_MS = 24 * 3600 * 1000;
/** https://kafka.apache.org/documentation/: names of topics have up to 249 letters, digits, dots and the like. */
const TOPIC_BYTES_MAX = 249;

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
  if (length === 0xffff || length === 0) {
    if (api.key === PRODUCE && !isProduce(bytes, start, end)) return "no";
    return size >= 10 ? "weak" : "no";
  }
  if (length > CLIENT_ID_BYTES_MAX || length + 10 > size) return "no";
  const stop = Math.min(end, start + CLIENT_ID_AT + length);
  for (let at = start + CLIENT_ID_AT; at < stop; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte === 0x7f) return "no";
  }
  if (stop < start + CLIENT_ID_AT + length) return "more";
  return length >= 3 ? "yes" : "weak";
}

/**
 * A response with a small correlation id looks like a Produce without a client id: the wanted
 * acknowledgements and a time limit tell it apart.
 */
function isProduce(bytes: Uint8Array, start: number, end: number): boolean {
  const version = readUint16(bytes, start + 6);
  let at = start + CLIENT_ID_AT;
  if (version >= FLEXIBLE_PRODUCE) {
    // No tags, then a length that is one too large.
    if (bytes[at] !== 0) return false;
    at += 2 + Math.max(0, (bytes[at + 1] ?? 0) - 1);
  } else if (version >= TRANSACTIONAL_PRODUCE) {
    const length = readUint16(bytes, at);
    at += 2 + (length === 0xffff ? 0 : length);
  }
  const acks = readUint16(bytes, at);
  const timeoutMs = readUint32(bytes, at + 2);
  if ((acks > 1 && acks !== 0xffff) || timeoutMs === 0 || timeoutMs > MAX_TIMEOUT_MS) return false;
  // One topic at least, and its name.
  const isFlexible = version >= FLEXIBLE_PRODUCE;
  const name = at + 6 + (isFlexible ? 2 : 6);
  const length = isFlexible ? (bytes[name - 1] ?? 0) - 1 : readUint16(bytes, name - 2);
  if (length < 1 || length > TOPIC_BYTES_MAX || name + length > end) return false;
  for (let index = name; index < name + length; index++) {
    if (!/[\w.-]/.test(String.fromCharCode(bytes[index] ?? 0))) return false;
  }
  return true;
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
