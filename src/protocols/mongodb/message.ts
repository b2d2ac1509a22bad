// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { readInt32, readUint32 } from "./bson.ts";

/** https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ */
export const OP_REPLY = 1;
export const OP_UPDATE = 2001;
export const OP_INSERT = 2002;
export const OP_QUERY = 2004;
export const OP_GET_MORE = 2005;
export const OP_DELETE = 2006;
export const OP_KILL_CURSORS = 2007;
export const OP_COMPRESSED = 2012;
export const OP_MSG = 2013;

export const CHECKSUM_PRESENT = 1;
export const MORE_TO_COME = 2;
const EXHAUST_ALLOWED = 1 << 16;
/** Bits of OP_MSG that a reader must know to read it. */
const REQUIRED_BITS = 0xffff;

export const HEADER_BYTES = 16;
/** maxMessageSizeBytes is 48,000,000; some headroom for servers that allow more. */
export const MESSAGE_BYTES_MAX: number = 64 * 1024 * 1024;
const OPCODES: ReadonlySet<number> = new Set([
  ...[OP_REPLY, OP_UPDATE, OP_INSERT, OP_QUERY, OP_GET_MORE, OP_DELETE, OP_KILL_CURSORS],
  ...[OP_COMPRESSED, OP_MSG],
]);
const COMPRESSORS = 3;
/** Header, flags, kind of section, length of document. */
const TELLING_BYTES = 25;

export function isOpcode(opcode: number): boolean {
  return OPCODES.has(opcode);
}

/** Could a message of either side start with these bytes? */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const count = end - start;
  // Lengths are below 64 MiB.
  if (count >= 4 && (bytes[start + 3] ?? 0) > 3) return "no";
  if (count < HEADER_BYTES) return "more";
  const length = readInt32(bytes, start);
  const opcode = readInt32(bytes, start + 12);
  const responseTo = readInt32(bytes, start + 8);
  if (length < HEADER_BYTES + 4 || length > MESSAGE_BYTES_MAX || !isOpcode(opcode)) return "no";
  if (count < TELLING_BYTES && count < length) return "more";
  switch (opcode) {
    case OP_MSG:
      return detectMsg(bytes, start, length);
    case OP_REPLY:
      return responseTo !== 0 && length >= 36 ? "yes" : "no";
    case OP_COMPRESSED: {
      const isKnown = isOpcode(readInt32(bytes, start + 16));
      return isKnown && (bytes[start + 24] ?? 0) <= COMPRESSORS ? "yes" : "no";
    }
    case OP_QUERY:
      return responseTo === 0 && isName(bytes, start + 20, end) ? "yes" : "no";
    default:
      return responseTo === 0 && readInt32(bytes, start + 16) === 0 ? "weak" : "no";
  }
}

function detectMsg(bytes: Uint8Array, start: number, length: number): Detection {
  const flags = readUint32(bytes, start + 16);
  if ((flags & REQUIRED_BITS & ~(CHECKSUM_PRESENT | MORE_TO_COME)) !== 0) return "no";
  if (flags > (EXHAUST_ALLOWED | CHECKSUM_PRESENT | MORE_TO_COME)) return "no";
  const kind = bytes[start + 20] ?? 0;
  const section = readInt32(bytes, start + 21);
  return kind <= 1 && section >= 5 && section <= length - 21 ? "yes" : "no";
}

/** `database.collection`, as far as it is there. */
function isName(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 0) return at > start;
    if (byte < 0x21 || byte === 0x7f) return false;
  }
  return true;
}
