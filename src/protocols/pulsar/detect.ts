// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readUint32 } from "../byte-cursor.ts";
import { isCommandType } from "./commands.ts";

/** Size of all that follows, size of the command. */
export const FRAME_HEADER_BYTES = 8;
/** Ten times the broker's default of `maxMessageSize`. */
const FRAME_BYTES_MAX = 50 * 1024 * 1024;
const COMMAND_BYTES_MAX = 1024 * 1024;

/** Bytes of the frame that starts there; 0 when it is cut short, -1 when it is none. */
export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < FRAME_HEADER_BYTES) return 0;
  const size = readUint32(bytes, start);
  const command = readUint32(bytes, start + 4);
  if (size > FRAME_BYTES_MAX || command > COMMAND_BYTES_MAX) return -1;
  return command < 2 || command + 4 > size ? -1 : size + 4;
}

/** A command's first field is its type, the second the field of that number, to the command's end. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const length = frameBytes(bytes, start, end);
  if (length < 0) return "no";
  if (length === 0 || end - start < FRAME_HEADER_BYTES + 5) {
    const isNone = end - start > FRAME_HEADER_BYTES && bytes[start + FRAME_HEADER_BYTES] !== 8;
    return isNone ? "no" : "more";
  }
  const at = start + FRAME_HEADER_BYTES;
  const type = bytes[at + 1] ?? 0;
  if (bytes[at] !== 8 || !isCommandType(type)) return "no";
  // Numbers above 15 take two bytes.
  const low = bytes[at + 2] ?? 0;
  const key = low < 0x80 ? low : (low & 0x7f) + ((bytes[at + 3] ?? 0) << 7);
  if (key !== type * 8 + 2) return "no";
  const sizeAt = low < 0x80 ? at + 3 : at + 4;
  const command = readUint32(bytes, start + 4);
  const size = bytes[sizeAt] ?? 0;
  if (size < 0x80) return sizeAt + 1 + size === at + command ? "yes" : "no";
  return command > 0x80 ? "weak" : "no";
}
