// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint16 } from "../byte-cursor.ts";

export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const DISCONNECT = 14;
export const AUTH = 15;

/** The remaining length has at most four bytes of seven bits. */
const LENGTH_BYTES_MAX = 4;

/** Results of `packetLength` for what is no packet and for what is cut short. */
export const NO_PACKET = -1;
export const CUT = 0;

/** Bytes of the packet that starts there, its fixed header included. */
export function packetLength(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return CUT;
  if (!isFirstByte(bytes[start] ?? 0)) return NO_PACKET;
  let length = 0;
  for (let count = 0; count < LENGTH_BYTES_MAX; count++) {
    const at = start + 1 + count;
    if (at >= end) return CUT;
    const byte = bytes[at] ?? 0;
    length += (byte & 0x7f) * 128 ** count;
    if (byte < 0x80) return 2 + count + length;
  }
  return NO_PACKET;
}

/** Where the variable header starts; the packet's length must be known. */
export function headerEnd(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < start + LENGTH_BYTES_MAX && (bytes[at] ?? 0) >= 0x80) at++;
  return at + 1;
}

/** Types other than PUBLISH have fixed flags (MQTT 5, 2.1.3). */
function isFirstByte(byte: number): boolean {
  const type = byte >> 4;
  const flags = byte & 15;
  if (type === 0) return false;
  if (type === PUBLISH) return (flags & 6) !== 6;
  const isFlagged = type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE;
  return flags === (isFlagged ? 2 : 0);
}

/**
 * A CONNECT names its protocol. A PUBLISH has a topic of text; the others are too short for more
 * than a weak guess.
 */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = packetLength(bytes, start, end);
  if (length === NO_PACKET) return "no";
  if (length === CUT) return "more";
  const type = (bytes[start] ?? 0) >> 4;
  const at = headerEnd(bytes, start);
  const rest = start + length - at;
  if (type === CONNECT) return detectConnect(bytes, at, end);
  if (type === PUBLISH) return detectPublish(bytes, { start, at, end, rest });
  if (type === PINGREQ || type === PINGREQ + 1) return rest === 0 ? "weak" : "no";
  if (type === CONNACK) return rest >= 2 && rest < 4096 && (bytes[at] ?? 0) <= 1 ? "weak" : "no";
  if (type === DISCONNECT || type === AUTH) return rest < 4096 ? "weak" : "no";
  if (rest < 2) return "no";
  const isAck = type >= PUBACK && type <= PUBCOMP;
  if (isAck && rest > 1024) return "no";
  if (at + 2 > end) return "more";
  return readUint16(bytes, at) > 0 ? "weak" : "no";
}

/** `MQTT` with level 4 or 5, `MQIsdp` with level 3. */
function detectConnect(bytes: Uint8Array, at: number, end: number): Detection {
  const expected = bytes[at + 1] === 6 ? "\0\x06MQIsdp\x03" : "\0\x04MQTT";
  for (let index = 0; index < expected.length; index++) {
    if (at + index >= end) return "more";
    if (bytes[at + index] !== expected.charCodeAt(index)) return "no";
  }
  if (expected.length > 6) return "yes";
  if (at + 6 >= end) return "more";
  const level = bytes[at + 6] ?? 0;
  return level === 4 || level === 5 ? "yes" : "no";
}

function detectPublish(
  bytes: Uint8Array,
  place: {
    readonly start: number;
    readonly at: number;
    readonly end: number;
    readonly rest: number;
  },
): Detection {
  const { start, at, end, rest } = place;
  if (at + 2 > end) return "more";
  const topic = readUint16(bytes, at);
  const hasId = ((bytes[start] ?? 0) & 6) !== 0;
  if (topic + 2 + (hasId ? 2 : 0) > rest) return "no";
  const stop = Math.min(end, at + 2 + topic);
  for (let index = at + 2; index < stop; index++) {
    const byte = bytes[index] ?? 0;
    // Wildcards are of subscriptions only.
    if (byte < 0x20 || byte === 0x7f || byte === 0x23 || byte === 0x2b) return "no";
  }
  return "weak";
}
