// SPDX-License-Identifier: Apache-2.0
import {
  KEY_HEADER,
  KEY_PEER_ABSENT,
  ROLE_CLIENT,
  ROLE_SERVER,
  STITCH_KEY,
  STITCH_KEY_BYTES,
  STITCH_KEY_VERSION,
  TRIGGER_ASYNC_ID,
} from "../../src/model/stitch-key.ts";
import { readFixed32 } from "../../src/pdata/wire.ts";

const NAME = new TextEncoder().encode(STITCH_KEY);
/** `attributes { key: "stitch.key" value { bytes_value: <64 bytes> } }` up to the value. */
const PREFIX = Uint8Array.from([
  0x4a,
  2 + NAME.length + 4 + STITCH_KEY_BYTES,
  0x0a,
  NAME.length,
  ...NAME,
  0x12,
  2 + STITCH_KEY_BYTES,
  0x3a,
  STITCH_KEY_BYTES,
]);
const NAME_AT = 4;

/** Length of the whole attribute field in a span, tag included, bytes. */
export const KEY_FIELD_BYTES: number = PREFIX.length + STITCH_KEY_BYTES;

export type KeyKind = "key" | "other" | "malformed";

/** Whether an attribute field that starts at `at` and ends at `end` is a key that we can use. */
export function keyKind(bytes: Uint8Array, at: number, end: number): KeyKind {
  if (at + NAME_AT + NAME.length > end) return "other";
  if (bytes[at + 2] !== PREFIX[2] || bytes[at + 3] !== PREFIX[3]) return "other";
  for (let i = 0; i < NAME.length; i++) {
    if (bytes[at + NAME_AT + i] !== NAME[i]) return "other";
  }
  if (end - at !== KEY_FIELD_BYTES || bytes[at] !== PREFIX[0]) return "malformed";
  for (let i = NAME_AT + NAME.length; i < PREFIX.length; i++) {
    if (bytes[at + i] !== PREFIX[i]) return "malformed";
  }
  const start = at + PREFIX.length;
  const role = bytes[start + 1];
  if (bytes[start] !== STITCH_KEY_VERSION) return "malformed";
  if (role !== ROLE_CLIENT && role !== ROLE_SERVER) return "malformed";
  return (readFixed32(bytes, start + 8) | readFixed32(bytes, start + 12)) !== 0
    ? "key"
    : "malformed";
}

/**
 * The fields of one `stitch.key`, read into numbers; made once and read again for each span. Words
 * of ids are signed: larger numbers would not be small integers to the engine.
 */
export class StitchKey {
  role = 0;
  flags = 0;
  triggerKind = 0;
  /** The runtime's ids name the trigger. */
  isByAsyncId = false;
  /** On the writing thread. */
  openRequests = 0;
  openInProcess = 0;
  idLow = 0;
  idHigh = 0;
  counterpartLow = 0;
  counterpartHigh = 0;
  triggerLow = 0;
  triggerHigh = 0;
  pid = 0;

  /** `at` is where the attribute field starts; `keyKind` has said "key". */
  read(bytes: Uint8Array, at: number): void {
    const start = at + PREFIX.length;
    this.role = bytes[start + 1] ?? 0;
    this.flags = bytes[start + 2] ?? 0;
    const kind = bytes[start + 3] ?? 0;
    this.triggerKind = kind & ~TRIGGER_ASYNC_ID;
    this.isByAsyncId = (kind & TRIGGER_ASYNC_ID) !== 0;
    const open = readFixed32(bytes, start + 4);
    this.openRequests = open & 0xffff;
    this.openInProcess = open >>> 16;
    this.idLow = readFixed32(bytes, start + 8) | 0;
    this.idHigh = readFixed32(bytes, start + 12) | 0;
    this.counterpartLow = readFixed32(bytes, start + 16) | 0;
    this.counterpartHigh = readFixed32(bytes, start + 20) | 0;
    this.triggerLow = readFixed32(bytes, start + 24) | 0;
    this.triggerHigh = readFixed32(bytes, start + 28) | 0;
    this.pid = readFixed32(bytes, start + 32) | 0;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }
}

/** Words of the ids in the key at `at`: the span's own (0, 1), its counterpart's, its trigger's. */
export function idWord(bytes: Uint8Array, at: number, word: number): number {
  return readFixed32(bytes, at + PREFIX.length + 8 + word * 4) | 0;
}

/** `ROLE_CLIENT` or `ROLE_SERVER` of the key at `at`. */
export function roleOf(bytes: Uint8Array, at: number): number {
  return bytes[at + PREFIX.length + 1] ?? 0;
}

/** May the span at the other end come? By the key at `at`. */
export function awaitsPeer(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at + PREFIX.length + 2] ?? 0) & KEY_PEER_ABSENT) === 0;
}

const TRACE_ID_AT = 40;

/** Whether the key holds a usable trace context: neither id may be all zero (W3C). */
export function hasContext(key: StitchKey, bytes: Uint8Array, at: number): boolean {
  if (!key.has(KEY_HEADER)) return false;
  let traceBits = 0;
  let spanBits = 0;
  for (let i = 0; i < 16; i += 4) traceBits |= contextWord(bytes, at, i);
  for (let i = 16; i < 24; i += 4) spanBits |= contextWord(bytes, at, i);
  return traceBits !== 0 && spanBits !== 0;
}

/** 32 bits of the header's 16-byte trace id (offsets 0–12) or 8-byte span id (16, 20). */
export function contextWord(bytes: Uint8Array, at: number, offset: number): number {
  return readFixed32(bytes, at + PREFIX.length + TRACE_ID_AT + offset) | 0;
}
