// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint16, readUint32 } from "../byte-cursor.ts";
import { NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";

export const HEADER_BYTES = 8;
export const BEGIN = 1;
export const ABORT = 2;
export const END = 3;
export const PARAMS = 4;
export const STDOUT = 6;
export const STDERR = 7;
const TYPE_MAX = 11;

export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (start < end && bytes[start] !== 1) return NOT_A_FRAME;
  if (start + 1 < end) {
    const type = bytes[start + 1] ?? 0;
    if (type < BEGIN || type > TYPE_MAX) return NOT_A_FRAME;
  }
  if (end - start < HEADER_BYTES) return NEED_MORE;
  if (bytes[start + 7] !== 0) return NOT_A_FRAME;
  return HEADER_BYTES + readUint16(bytes, start + 4) + (bytes[start + 6] ?? 0);
}

/** The whole record that begins a request is known but for two bytes; others are weak signs. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length === NOT_A_FRAME) return "no";
  if (length === NEED_MORE) return "more";
  const type = bytes[start + 1] ?? 0;
  const id = readUint16(bytes, start + 2);
  if (type > STDERR) return id === 0 ? "weak" : "no";
  if (id === 0) return "no";
  if (type === END) return readUint16(bytes, start + 4) === 8 ? "weak" : "no";
  if (type !== BEGIN) return "weak";
  if (readUint16(bytes, start + 4) !== 8 || bytes[start + 6] !== 0) return "no";
  if (end - start < 16) return "more";
  const role = readUint16(bytes, start + 8);
  const isReserved = (bytes[start + 11] ?? 0) === 0 && readUint32(bytes, start + 12) === 0;
  return role >= 1 && role <= 3 && (bytes[start + 10] ?? 0) <= 1 && isReserved ? "yes" : "no";
}

/** The names of what a web server tells of a request (RFC 3875, section 4.1). */
export type Param = "method" | "uri" | "script" | "scheme" | "name" | "port" | "protocol" | "trace";

const PARAMS_BY_NAME: ReadonlyMap<string, Param> = new Map([
  ["REQUEST_METHOD", "method"],
  ["REQUEST_URI", "uri"],
  ["SCRIPT_NAME", "script"],
  ["REQUEST_SCHEME", "scheme"],
  ["SERVER_NAME", "name"],
  ["SERVER_PORT", "port"],
  ["SERVER_PROTOCOL", "protocol"],
  ["HTTP_TRACEPARENT", "trace"],
]);

const NAME_BYTES_MAX = 16;

/** Pairs of names and values, of one record; what is cut off is left out. */
export function readParams(
  bytes: Uint8Array,
  start: number,
  end: number,
  take: (param: Param, start: number, end: number) => void,
): void {
  let at = start;
  while (at < end) {
    const nameBytes = pairLength(bytes, at, end);
    at += (bytes[at] ?? 0) < 0x80 ? 1 : 4;
    const valueBytes = pairLength(bytes, at, end);
    at += (bytes[at] ?? 0) < 0x80 ? 1 : 4;
    if (nameBytes < 0 || valueBytes < 0 || at + nameBytes + valueBytes > end) return;
    if (nameBytes <= NAME_BYTES_MAX) {
      const name = String.fromCharCode(...bytes.subarray(at, at + nameBytes));
      const param = PARAMS_BY_NAME.get(name);
      if (param !== undefined) take(param, at + nameBytes, at + nameBytes + valueBytes);
    }
    at += nameBytes + valueBytes;
  }
}

/** One byte, or four with the highest bit set; -1 when it is cut. */
function pairLength(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  const first = bytes[at] ?? 0;
  if (first < 0x80) return first;
  return at + 4 > end ? -1 : readUint32(bytes, at) - 0x80000000;
}

const STATUS_BYTES_MAX = 2048;

/** What a response begins with: `Status: 404`; 200 when it does not say (RFC 3875, section 6.3.3). */
export function statusOf(bytes: Uint8Array, start: number, end: number): number {
  const stop = Math.min(end, start + STATUS_BYTES_MAX);
  const text = String.fromCharCode(...bytes.subarray(start, stop));
  const head = text.split(/\r?\n\r?\n/, 1)[0] ?? "";
  const found = /^status:[ \t]*(\d{3})\b/im.exec(head);
  if (found?.[1] !== undefined) return Number(found[1]);
  return /^location:[ \t]*[a-z]+:/im.test(head) ? 302 : 200;
}
