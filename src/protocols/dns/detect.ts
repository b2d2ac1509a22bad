// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint16 } from "../byte-cursor.ts";
import { HEADER_BYTES, skipName } from "./message.ts";
import { isKnownType, opcodeName } from "./names.ts";

/** Before a message on TCP stands its length (RFC 1035, section 4.2.2). */
export const LENGTH_BYTES = 2;
/** A header, and the question for the root. */
const MESSAGE_BYTES_MIN = HEADER_BYTES + 5;
const RESERVED_FLAG = 0x40;
/** More records than that are in no message that somebody waits for. */
const OTHERS_MAX = 64;

/** `message` is all of it, as it is in a datagram; `bytes` may hold its beginning only. */
export function detectMessage(
  bytes: Uint8Array,
  start: number,
  end: number,
  messageEnd: number,
): Detection {
  if (messageEnd - start < HEADER_BYTES) return "no";
  if (end - start < HEADER_BYTES) return "more";
  const flags = readUint16(bytes, start + 2);
  const questions = readUint16(bytes, start + 4);
  const answers = readUint16(bytes, start + 6);
  const others = readUint16(bytes, start + 8) + readUint16(bytes, start + 10);
  const isResponse = flags >= 0x8000;
  if (opcodeName((flags >> 11) & 15) === "" || (flags & RESERVED_FLAG) !== 0) return "no";
  if (!isResponse && ((flags & 0x280) !== 0 || (flags & 15) !== 0)) return "no";
  if (others > OTHERS_MAX) return "no";
  const at = start + HEADER_BYTES;
  if (questions === 0) return isResponse ? detectAnnouncement(bytes, at, end, answers) : "no";
  if (questions > (isResponse ? 1 : OTHERS_MAX)) return "no";
  const next = skipName(bytes, at, end);
  if (next < 0) return isLabels(bytes, at, end) && end < messageEnd ? "more" : "no";
  if (!isLabels(bytes, at, next) || next + 4 > messageEnd) return "no";
  if (end < next + 4) return "more";
  if (!isClass(readUint16(bytes, next + 2) & 0x7fff)) return "no";
  return isKnownType(readUint16(bytes, next)) ? "yes" : "weak";
}

/** Multicast DNS (RFC 6762): answers that nobody asked for. */
function detectAnnouncement(
  bytes: Uint8Array,
  at: number,
  end: number,
  answers: number,
): Detection {
  if (answers === 0) return "no";
  const next = skipName(bytes, at, end);
  if (next < 0 || end < next + 10) return "no";
  const known = isKnownType(readUint16(bytes, next));
  return known && isClass(readUint16(bytes, next + 2) & 0x7fff) ? "weak" : "no";
}

/** IN, CH, HS, none and any. The upper bit means something else in multicast DNS. */
function isClass(value: number): boolean {
  return value === 1 || value === 3 || value === 4 || value === 254 || value === 255;
}

/** Names in questions are not compressed, and of characters that can be seen. */
function isLabels(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const length = bytes[at] ?? 0;
    if (length === 0) return true;
    if (length > 63) return false;
    const stop = Math.min(end, at + 1 + length);
    for (let index = at + 1; index < stop; index++) {
      const byte = bytes[index] ?? 0;
      if (byte <= 0x20 || byte === 0x7f) return false;
    }
    at = stop;
  }
  return true;
}

export function detectDatagram(bytes: Uint8Array, start: number, end: number): Detection {
  const found = detectMessage(bytes, start, end, end);
  return found === "more" ? "no" : found;
}

export function detectOnTcp(bytes: Uint8Array, start: number, end: number): Detection {
  if (end - start < LENGTH_BYTES) return end > start ? "more" : "no";
  const length = readUint16(bytes, start);
  if (length < MESSAGE_BYTES_MIN) return "no";
  const first = start + LENGTH_BYTES;
  return detectMessage(bytes, first, Math.min(end, first + length), first + length);
}
