// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint32 } from "../byte-cursor.ts";
import { NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import type { ExchangeKey } from "../pooled-exchange.ts";

export const HEADER_BYTES = 16;
/** Of the default `payload` 8 MiB, with room. */
const BODY_BYTES_MAX = 256 * 1024 * 1024;

const REQUEST = 0x80;
const TWO_WAY = 0x40;
const EVENT = 0x20;
const SERIALIZATION = 0x1f;
export const HESSIAN2 = 2;
export const FASTJSON = 6;

export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (start < end && bytes[start] !== 0xda) return NOT_A_FRAME;
  if (start + 1 < end && bytes[start + 1] !== 0xbb) return NOT_A_FRAME;
  if (end - start < HEADER_BYTES) return NEED_MORE;
  const length = readUint32(bytes, start + 12);
  return length > BODY_BYTES_MAX ? NOT_A_FRAME : HEADER_BYTES + length;
}

export function isRequest(bytes: Uint8Array, start: number): boolean {
  return ((bytes[start + 2] ?? 0) & REQUEST) !== 0;
}

/** Heartbeats, and that a server will close. */
export function isEvent(bytes: Uint8Array, start: number): boolean {
  return ((bytes[start + 2] ?? 0) & EVENT) !== 0;
}

export function isOneWay(bytes: Uint8Array, start: number): boolean {
  return ((bytes[start + 2] ?? 0) & TWO_WAY) === 0;
}

export function serializationOf(bytes: Uint8Array, start: number): number {
  return (bytes[start + 2] ?? 0) & SERIALIZATION;
}

/** A request's 64-bit number; text where a double would not be exact. */
export function idOf(bytes: Uint8Array, start: number): ExchangeKey {
  const high = readUint32(bytes, start + 4);
  const low = readUint32(bytes, start + 8);
  return high < 2 ** 21 ? high * 2 ** 32 + low : `${high}:${low}`;
}

/** The two magic bytes, a serialization, and a status that fits to the direction. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length === NOT_A_FRAME) return "no";
  if (end - start < 4) return "more";
  const status = bytes[start + 3] ?? 0;
  if (serializationOf(bytes, start) === 0) return "no";
  if (!isRequest(bytes, start) && !STATUSES.has(status)) return "no";
  return length === NEED_MORE ? "more" : "yes";
}

/** `org.apache.dubbo.remoting.exchange.Response` */
const STATUSES: ReadonlyMap<number, string> = new Map([
  [20, "OK"],
  [25, "SERIALIZATION_ERROR"],
  [30, "CLIENT_TIMEOUT"],
  [31, "SERVER_TIMEOUT"],
  [35, "CHANNEL_INACTIVE"],
  [40, "BAD_REQUEST"],
  [50, "BAD_RESPONSE"],
  [60, "SERVICE_NOT_FOUND"],
  [70, "SERVICE_ERROR"],
  [80, "SERVER_ERROR"],
  [90, "CLIENT_ERROR"],
  [100, "SERVER_THREADPOOL_EXHAUSTED_ERROR"],
]);

export const OK = 20;

export function statusName(status: number): string {
  return STATUSES.get(status) ?? `STATUS_${status}`;
}
