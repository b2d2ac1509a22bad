// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint32 } from "../byte-cursor.ts";

/** Length, then serialization and length of the header. */
export const FRAME_HEADER_BYTES = 8;
/** Ten times `com.rocketmq.remoting.frameMaxLength`. */
const FRAME_BYTES_MAX = 160 * 1024 * 1024;
const BINARY_HEADER_BYTES_MIN = 21;

/** Bytes of the frame that starts there; 0 when it is cut short, -1 when it is none. */
export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < FRAME_HEADER_BYTES) return 0;
  const length = readUint32(bytes, start);
  const header = readUint32(bytes, start + 4);
  const size = header & 0xffffff;
  if (header >>> 24 > 1 || length > FRAME_BYTES_MAX || size + 4 > length) return -1;
  return size < (header >>> 24 === 0 ? 2 : BINARY_HEADER_BYTES_MIN) ? -1 : length + 4;
}

/** A JSON header begins with a brace and says `"code"`; a binary one has a language and small sizes. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length < 0) return "no";
  if (length === 0) return "more";
  const at = start + FRAME_HEADER_BYTES;
  if (bytes[start + 4] === 0) {
    if (at >= end) return "more";
    if (bytes[at] !== 0x7b) return "no";
    const text = String.fromCharCode(...bytes.subarray(at, Math.min(end, at + 512)));
    if (text.includes('"code":') || text.includes('"opaque":')) return "yes";
    return text.length < 64 ? "more" : "weak";
  }
  if (at + BINARY_HEADER_BYTES_MIN > end) return "more";
  const size = readUint32(bytes, start + 4) & 0xffffff;
  const language = bytes[at + 2] ?? 255;
  const flag = readUint32(bytes, at + 9);
  const remark = readUint32(bytes, at + 13);
  return language <= 13 && flag <= 3 && remark <= size ? "yes" : "no";
}
