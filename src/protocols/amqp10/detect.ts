// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint32 } from "../byte-cursor.ts";

export const PROTOCOL_HEADER_BYTES = 8;
/** Size, data offset, type, channel. */
export const FRAME_HEADER_BYTES = 8;
const FRAME_BYTES_MAX = 2 ** 30;

/** Bytes of the frame that starts there; 0 when it is cut short, -1 when it is none. */
export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === 0x41) {
    return protocolHeader(bytes, start, end) === "no" ? -1 : PROTOCOL_HEADER_BYTES;
  }
  if (end - start < 6) return 0;
  const size = readUint32(bytes, start);
  const offset = bytes[start + 4] ?? 0;
  const type = bytes[start + 5] ?? 0;
  if (size < FRAME_HEADER_BYTES || size > FRAME_BYTES_MAX || type > 1) return -1;
  return offset < 2 || offset * 4 > size ? -1 : size;
}

/** `AMQP`, then 0, 2 (TLS) or 3 (SASL), then 1, 0, 0. */
function protocolHeader(bytes: Uint8Array, start: number, end: number): Detection {
  const expected = "AMQP\0\x01\0\0";
  for (let index = 0; index < expected.length; index++) {
    if (start + index >= end) return "more";
    const byte = bytes[start + index];
    const isLayer = index === 4 && (byte === 2 || byte === 3);
    if (!isLayer && byte !== expected.charCodeAt(index)) return "no";
  }
  return "yes";
}

/** The protocol's header, or a frame with a performative of its layer. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  if (start >= end) return "more";
  if (bytes[start] === 0x41) return protocolHeader(bytes, start, end);
  const length = frameBytes(bytes, start, end);
  if (length < 0) return "no";
  if (length === 0) return "more";
  // An empty frame keeps the connection alive.
  if (length === FRAME_HEADER_BYTES) return "weak";
  const body = start + 4 * (bytes[start + 4] ?? 0);
  if (body + 4 > end) return "more";
  if (bytes[body] !== 0 || bytes[body + 1] !== 0x53) return "no";
  const performative = bytes[body + 2] ?? 0;
  const isSasl = bytes[start + 5] === 1;
  const isKnown = isSasl
    ? performative >= 0x40 && performative <= 0x44
    : performative >= 0x10 && performative <= 0x18;
  const list = bytes[body + 3];
  return isKnown && (list === 0x45 || list === 0xc0 || list === 0xd0) ? "yes" : "no";
}
