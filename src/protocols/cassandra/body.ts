// SPDX-License-Identifier: Apache-2.0
import { readInt16, readInt32 } from "./envelope.ts";

/** A body as far as it was seen. */
export interface Body {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Error codes of the specification, 9. */
const ERRORS: ReadonlyMap<number, string> = new Map([
  [0x0000, "SERVER_ERROR"],
  [0x000a, "PROTOCOL_ERROR"],
  [0x0100, "AUTHENTICATION_ERROR"],
  [0x1000, "UNAVAILABLE"],
  [0x1001, "OVERLOADED"],
  [0x1002, "IS_BOOTSTRAPPING"],
  [0x1003, "TRUNCATE_ERROR"],
  [0x1100, "WRITE_TIMEOUT"],
  [0x1200, "READ_TIMEOUT"],
  [0x1300, "READ_FAILURE"],
  [0x1400, "FUNCTION_FAILURE"],
  [0x1500, "WRITE_FAILURE"],
  [0x1600, "CDC_WRITE_FAILURE"],
  [0x1700, "CAS_WRITE_UNKNOWN"],
  [0x2000, "SYNTAX_ERROR"],
  [0x2100, "UNAUTHORIZED"],
  [0x2200, "INVALID"],
  [0x2300, "CONFIG_ERROR"],
  [0x2400, "ALREADY_EXISTS"],
  [0x2500, "UNPREPARED"],
]);

export function errorName(code: number): string {
  return ERRORS.get(code) ?? "";
}

const ID_BYTES_MAX = 32;
const NAME_BYTES_MAX = 256;
const NESTING_MAX = 16;
const decoder = new TextDecoder();

/** After a [bytes map] or [string map], `end` when it is not all there. */
export function afterBytesMap({ bytes, start, end }: Body): number {
  let at = start + 2;
  for (let left = readInt16(bytes, start); left > 0 && at < end; left--) {
    at += 2 + readInt16(bytes, at);
    at += 4 + Math.max(0, readInt32(bytes, at));
  }
  return Math.min(at, end);
}

/** After a [string list]. */
export function afterStringList({ bytes, start, end }: Body): number {
  let at = start + 2;
  for (let left = readInt16(bytes, start); left > 0 && at < end; left--) {
    at += 2 + readInt16(bytes, at);
  }
  return Math.min(at, end);
}

/** [short bytes] as hexadecimal digits; empty when they are not all there, or too many. */
export function readId({ bytes, start, end }: Body): string {
  const length = readInt16(bytes, start);
  if (length === 0 || length > ID_BYTES_MAX || start + 2 + length > end) return "";
  let id = "";
  for (let at = start + 2; at < start + 2 + length; at++) {
    id += (bytes[at] ?? 0).toString(16).padStart(2, "0");
  }
  return id;
}

/** [string] */
export function readString({ bytes, start, end }: Body): string {
  const length = Math.min(readInt16(bytes, start), NAME_BYTES_MAX);
  const stop = Math.min(end, start + 2 + length);
  return stop <= start + 2 ? "" : decoder.decode(bytes.subarray(start + 2, stop));
}

const GLOBAL_TABLE = 1;
const MORE_PAGES = 2;
const NO_METADATA = 4;
const METADATA_CHANGED = 8;

/** Rows of a RESULT, after its kind; -1 when their number was not seen. */
export function readRowCount(body: Body): number {
  const { bytes, end } = body;
  const flags = readInt32(bytes, body.start);
  const columns = readInt32(bytes, body.start + 4);
  let at = body.start + 8;
  if ((flags & MORE_PAGES) !== 0) at += 4 + Math.max(0, readInt32(bytes, at));
  if ((flags & METADATA_CHANGED) !== 0) at += 2 + readInt16(bytes, at);
  if ((flags & NO_METADATA) === 0) {
    const isGlobal = (flags & GLOBAL_TABLE) !== 0;
    if (isGlobal) at = afterStrings(body, at, 2);
    for (let left = columns; left > 0 && at < end; left--) {
      at = afterOption(body, afterStrings(body, at, isGlobal ? 1 : 3), 0);
    }
  }
  return at + 4 <= end ? readInt32(bytes, at) : -1;
}

function afterStrings({ bytes, end }: Body, start: number, count: number): number {
  let at = start;
  for (let left = count; left > 0 && at < end; left--) at += 2 + readInt16(bytes, at);
  return Math.min(at, end);
}

const CUSTOM = 0x00;
const LIST = 0x20;
const MAP = 0x21;
const SET = 0x22;
const UDT = 0x30;
const TUPLE = 0x31;

/** After a column's type. */
function afterOption(body: Body, start: number, depth: number): number {
  const { bytes, end } = body;
  const at = start + 2;
  if (at >= end || depth > NESTING_MAX) return end;
  const inner = (from: number): number => afterOption(body, from, depth + 1);
  switch (readInt16(bytes, start)) {
    case CUSTOM:
      return afterStrings(body, at, 1);
    case LIST:
    case SET:
      return inner(at);
    case MAP:
      return inner(inner(at));
    case TUPLE:
    case UDT:
      return afterFields(body, at, { depth, isUdt: readInt16(bytes, start) === UDT });
    default:
      return at;
  }
}

function afterFields(
  body: Body,
  start: number,
  type: { readonly depth: number; readonly isUdt: boolean },
): number {
  const { bytes, end } = body;
  let at = type.isUdt ? afterStrings(body, start, 2) : start;
  const fields = at + 2 <= end ? readInt16(bytes, at) : 0;
  at += 2;
  for (let left = fields; left > 0 && at < end; left--) {
    if (type.isUdt) at = afterStrings(body, at, 1);
    at = afterOption(body, at, type.depth + 1);
  }
  return Math.min(at, end);
}
