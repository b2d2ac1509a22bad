// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";

/** https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec, 2: version, flags, stream, opcode, length. */
export const HEADER_BYTES = 9;
const RESPONSE_BIT = 0x80;
const VERSION_MIN = 3;
const VERSION_MAX = 5;
/** The specification: at most 256 MB. */
const LENGTH_MAX = 256 * 1024 * 1024;

export const ERROR = 0x00;
export const STARTUP = 0x01;
export const READY = 0x02;
export const AUTHENTICATE = 0x03;
export const OPTIONS = 0x05;
export const SUPPORTED = 0x06;
export const QUERY = 0x07;
export const RESULT = 0x08;
export const PREPARE = 0x09;
export const EXECUTE = 0x0a;
export const REGISTER = 0x0b;
export const EVENT = 0x0c;
export const BATCH = 0x0d;
const AUTH_CHALLENGE = 0x0e;
const AUTH_RESPONSE = 0x0f;
const AUTH_SUCCESS = 0x10;

const REQUESTS: ReadonlySet<number> = new Set([
  ...[STARTUP, OPTIONS, QUERY, PREPARE, EXECUTE, REGISTER, BATCH, AUTH_RESPONSE],
]);
const RESPONSES: ReadonlySet<number> = new Set([
  ...[ERROR, READY, AUTHENTICATE, SUPPORTED, RESULT, EVENT, AUTH_CHALLENGE, AUTH_SUCCESS],
]);

/** Flags of an envelope. */
export const COMPRESSED = 0x01;
export const TRACING = 0x02;
export const CUSTOM_PAYLOAD = 0x04;
export const WARNING = 0x08;
const FLAGS = 0x1f;
const EVENT_STREAM = 0xffff;
const KINDS_MAX = 5;

export function readInt16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function readInt32(bytes: Uint8Array, at: number): number {
  return (readInt16(bytes, at) << 16) | readInt16(bytes, at + 2);
}

export function isResponse(bytes: Uint8Array, start: number): boolean {
  return ((bytes[start] ?? 0) & RESPONSE_BIT) !== 0;
}

/** Bytes of the envelope that starts here, -1 when none does. Nine bytes must be there. */
export function envelopeLength(bytes: Uint8Array, start: number): number {
  const version = (bytes[start] ?? 0) & ~RESPONSE_BIT;
  const opcode = bytes[start + 4] ?? 0;
  const length = readInt32(bytes, start + 5);
  const opcodes = isResponse(bytes, start) ? RESPONSES : REQUESTS;
  if (version < VERSION_MIN || version > VERSION_MAX || !opcodes.has(opcode)) return -1;
  if (((bytes[start + 1] ?? 0) & ~FLAGS) !== 0 || length < 0 || length > LENGTH_MAX) return -1;
  const stream = readInt16(bytes, start + 2);
  // Streams below 0 are the server's, of which there are events only.
  if (stream > 0x7fff && (stream !== EVENT_STREAM || opcode !== EVENT)) return -1;
  return HEADER_BYTES + length;
}

/** Could an envelope of either side, or a segment, start with these bytes? */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const count = end - start;
  const version = (bytes[start] ?? 0) & ~RESPONSE_BIT;
  if (count > 0 && (version < VERSION_MIN || version > VERSION_MAX)) {
    return detectSegment(bytes, start, end);
  }
  if (count < HEADER_BYTES) {
    if (count > 1 && ((bytes[start + 1] ?? 0) & ~FLAGS) !== 0)
      return detectSegment(bytes, start, end);
    return "more";
  }
  const length = envelopeLength(bytes, start);
  if (length < 0) return detectSegment(bytes, start, end);
  return detectBody(bytes, { start, end, length: length - HEADER_BYTES });
}

interface Place {
  readonly start: number;
  readonly end: number;
  /** Of the body. */
  readonly length: number;
}

function detectBody(bytes: Uint8Array, { start, end, length }: Place): Detection {
  const opcode = bytes[start + 4] ?? 0;
  const isCompressed = ((bytes[start + 1] ?? 0) & COMPRESSED) !== 0;
  const body = start + HEADER_BYTES;
  if (opcode === OPTIONS || opcode === READY) return length === 0 ? "yes" : "no";
  if (length < 2) return "no";
  if (isCompressed) return "weak";
  if (end - body < Math.min(length, 4)) return "more";
  switch (opcode) {
    case QUERY:
    case PREPARE: {
      const text = readInt32(bytes, body);
      return text > 0 && text <= length - 4 ? "yes" : "no";
    }
    case EXECUTE:
      return readInt16(bytes, body) === 16 ? "yes" : "weak";
    case BATCH:
      return (bytes[body] ?? 0) <= 2 ? "yes" : "no";
    case RESULT: {
      const kind = readInt32(bytes, body);
      return kind >= 1 && kind <= KINDS_MAX ? "yes" : "weak";
    }
    case ERROR: {
      const code = readInt32(bytes, body);
      return code >= 0 && code <= 0x2500 ? "yes" : "no";
    }
    default: {
      // A string map or list, or a string.
      const pairs = readInt16(bytes, body);
      return pairs > 0 && pairs <= length ? "yes" : "weak";
    }
  }
}

/** https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec, 2.3 */
export const SEGMENT_HEADER_BYTES = 6;
export const SEGMENT_TRAILER_BYTES = 4;
const CRC24_INIT = 0x875060;
const CRC24_POLYNOMIAL = 0x1974f0b;

/** Bytes of the segment that starts here without its CRCs, -1 when none does. Six bytes must be there. */
export function segmentPayload(bytes: Uint8Array, start: number): number {
  let crc = CRC24_INIT;
  for (let at = start; at < start + 3; at++) {
    crc ^= (bytes[at] ?? 0) << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if ((crc & 0x1000000) !== 0) crc ^= CRC24_POLYNOMIAL;
    }
  }
  crc &= 0xffffff;
  const given = readInt24(bytes, start + 3);
  return crc === given ? readInt24(bytes, start) & 0x1ffff : -1;
}

/** It holds whole envelopes only. */
export function isSelfContained(bytes: Uint8Array, start: number): boolean {
  return (readInt24(bytes, start) & 0x20000) !== 0;
}

function readInt24(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
}

function detectSegment(bytes: Uint8Array, start: number, end: number): Detection {
  if (end - start < 3) return "more";
  // Beyond 18 bits there is padding.
  if ((bytes[start + 2] ?? 0) > 3) return "no";
  if (end - start < SEGMENT_HEADER_BYTES) return "more";
  return segmentPayload(bytes, start) > 0 ? "yes" : "no";
}
