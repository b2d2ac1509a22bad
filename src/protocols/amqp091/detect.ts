// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint16, readUint32 } from "../byte-cursor.ts";

export const METHOD = 1;
export const HEADER = 2;
export const BODY = 3;
export const HEARTBEAT = 8;

export const PROTOCOL_HEADER_BYTES = 8;
/** Type, channel and size before the payload. */
export const FRAME_HEADER_BYTES = 7;
const FRAME_END = 0xce;
/** Well above any `frame_max` in use. */
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
const CLASSES: ReadonlySet<number> = new Set([10, 20, 30, 40, 50, 60, 85, 90]);

/** Bytes of the frame that starts there; 0 when it is cut short, -1 when it is none. */
export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  const type = bytes[start];
  if (type === 0x41) return protocolHeader(bytes, start, end) === "no" ? -1 : PROTOCOL_HEADER_BYTES;
  if (type !== METHOD && type !== HEADER && type !== BODY && type !== HEARTBEAT) return -1;
  if (end - start < FRAME_HEADER_BYTES) return 0;
  const size = readUint32(bytes, start + 3);
  return size > PAYLOAD_BYTES_MAX ? -1 : FRAME_HEADER_BYTES + size + 1;
}

/** `AMQP`, then 0, 0, 9, 1. */
function protocolHeader(bytes: Uint8Array, start: number, end: number): Detection {
  const expected = "AMQP\0\0\x09\x01";
  for (let index = 0; index < expected.length; index++) {
    if (start + index >= end) return "more";
    if (bytes[start + index] !== expected.charCodeAt(index)) return "no";
  }
  return "yes";
}

/** The protocol's header, or a frame whose end is marked, or a method of a known class. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  if (start >= end) return "more";
  if (bytes[start] === 0x41) return protocolHeader(bytes, start, end);
  const length = frameBytes(bytes, start, end);
  if (length < 0) return "no";
  if (length === 0) return "more";
  const last = start + length - 1;
  if (last < end && bytes[last] !== FRAME_END) return "no";
  const type = bytes[start];
  if (type === HEARTBEAT) return length === 8 && readUint16(bytes, start + 1) === 0 ? "weak" : "no";
  if (type === BODY) return last < end ? "weak" : "no";
  if (end - start < FRAME_HEADER_BYTES + 4) return "more";
  const classId = readUint16(bytes, start + FRAME_HEADER_BYTES);
  const methodId = readUint16(bytes, start + FRAME_HEADER_BYTES + 2);
  if (!CLASSES.has(classId)) return "no";
  if (type === HEADER) return classId === 60 && methodId === 0 ? found(last < end) : "no";
  return methodId >= 10 && methodId <= 120 ? found(last < end) : "no";
}

function found(isEndSeen: boolean): Detection {
  return isEndSeen ? "yes" : "weak";
}
