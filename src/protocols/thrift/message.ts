// SPDX-License-Identifier: Apache-2.0
import type { Detection } from "../../model/protocol.ts";
import { type NameTable, readUint32 } from "../byte-cursor.ts";
import { NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import { ThriftSkipper } from "./skip.ts";

export const CALL = 1;
/** 2 is a reply. */
export const EXCEPTION = 3;
export const ONE_WAY = 4;

const STRICT = 0x80;
const COMPACT = 0x82;
const NAME_BYTES_MAX = 256;
const FRAME_BYTES_MAX = 2 ** 28;
const LENGTH_BYTES = 4;
/** A message without a length is read anew with each record that it gets longer by: up to here. */
const UNFRAMED_BYTES_MAX = 8192;

/** Exceptions of the library itself, TApplicationException. */
const APPLICATION_EXCEPTIONS: readonly string[] = [
  "UNKNOWN",
  "UNKNOWN_METHOD",
  "INVALID_MESSAGE_TYPE",
  "WRONG_METHOD_NAME",
  "BAD_SEQUENCE_ID",
  "MISSING_RESULT",
  "INTERNAL_ERROR",
  "PROTOCOL_ERROR",
  "INVALID_TRANSFORM",
  "INVALID_PROTOCOL",
  "UNSUPPORTED_CLIENT_TYPE",
];

/** The head of a message of https://github.com/apache/thrift/tree/master/doc/specs, in any encoding. */
export class ThriftMessage {
  readonly #skipper = new ThriftSkipper();
  type = 0;
  sequenceId = 0;
  #isCompact = false;
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #bodyStart = 0;

  /** `yes`, `no`, or `more` when its head is not all there. `start` is behind a frame's length. */
  read(bytes: Uint8Array, start: number, end: number): Detection {
    const reader = this.#skipper.over(bytes, start, end);
    this.#bytes = bytes;
    this.#end = end;
    const first = reader.byte();
    this.#isCompact = first === COMPACT;
    let nameBytes = 0;
    if (this.#isCompact) {
      const head = reader.byte();
      if (!reader.isCut && (head & 31) !== 1) return "no";
      this.type = head >> 5;
      this.sequenceId = reader.varint();
      nameBytes = reader.varint();
    } else if (first === STRICT) {
      const version = reader.byte();
      const unused = reader.byte();
      if (!reader.isCut && (version !== 1 || unused !== 0)) return "no";
      this.type = reader.byte() & 7;
      nameBytes = reader.int32();
    } else {
      reader.over(bytes, start, end);
      nameBytes = reader.int32();
    }
    if (reader.isBad) return "no";
    if (reader.isCut) return "more";
    if (nameBytes < 1 || nameBytes > NAME_BYTES_MAX) return "no";
    this.#nameStart = reader.at;
    if (!isName(bytes, reader.at, Math.min(end, reader.at + nameBytes))) return "no";
    reader.take(nameBytes);
    this.#nameEnd = reader.at;
    if (!this.#isCompact) {
      if (first !== STRICT) this.type = reader.byte();
      this.sequenceId = reader.int32();
    }
    this.#bodyStart = reader.at;
    if (reader.isCut) return "more";
    return this.type >= CALL && this.type <= ONE_WAY ? "yes" : "no";
  }

  /** As the service is called in a multiplexed protocol: `Shop:buy` is `Shop/buy`. */
  name(names: NameTable): string {
    return names.find(this.#bytes, this.#nameStart, this.#nameEnd).replace(":", "/");
  }

  /** The position behind the message of which a head was read; 0 when it goes on, -1 for none. */
  skipBody(): number {
    const reader = this.#skipper.over(this.#bytes, this.#bodyStart, this.#end);
    reader.struct(this.#isCompact);
    if (reader.isBad) return -1;
    return reader.isCut ? 0 : reader.at;
  }

  /** Of a reply: the number of the exception that the method declares; 0 for a result. */
  declaredException(): number {
    const reader = this.#skipper.over(this.#bytes, this.#bodyStart, this.#end);
    const head = reader.byte();
    if (head === 0 || reader.isCut) return 0;
    return this.#fieldId(reader, head, 0);
  }

  /** Of an exception of the library: its type by name. */
  applicationException(): string {
    const reader = this.#skipper.over(this.#bytes, this.#bodyStart, this.#end);
    for (let id = 0; ; ) {
      const head = reader.byte();
      if (head === 0 || reader.isCut || reader.isBad) return "UNKNOWN";
      id = this.#fieldId(reader, head, id);
      if (id === 2) {
        const type = this.#isCompact ? reader.zigzag() : reader.int32();
        return APPLICATION_EXCEPTIONS[type] ?? "UNKNOWN";
      }
      reader.value(this.#isCompact ? head & 15 : head, this.#isCompact);
    }
  }

  #fieldId(reader: ThriftSkipper, head: number, before: number): number {
    if (!this.#isCompact) return reader.uint16();
    return head >> 4 === 0 ? reader.zigzag() : before + (head >> 4);
  }
}

function isName(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const isLetter = (byte | 32) >= 97 && (byte | 32) <= 122;
    const isOther = byte === 95 || byte === 46 || byte === 58 || byte === 36 || byte === 45;
    if (!isLetter && !isOther && (byte < 48 || byte > 57)) return false;
  }
  return true;
}

/** Where the message begins in a frame: behind a length, if there is one. -1 when not yet known. */
export function messageStart(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return -1;
  const first = bytes[start] ?? 0;
  if (first === STRICT || first === COMPACT) return start;
  if (end - start <= LENGTH_BYTES) return -1;
  const fifth = bytes[start + LENGTH_BYTES] ?? 0;
  // Without a version, a message begins with the length of its name, and a name with a letter.
  return fifth === STRICT || fifth === COMPACT || fifth === 0 ? start + LENGTH_BYTES : start;
}

const probe = new ThriftMessage();

export function frameBytes(bytes: Uint8Array, start: number, end: number): number {
  const at = messageStart(bytes, start, end);
  if (at < 0) return NEED_MORE;
  if (at > start) {
    const length = readUint32(bytes, start);
    if (length < 8 || length > FRAME_BYTES_MAX) return NOT_A_FRAME;
    // What begins like a length must be followed by a message.
    const found = probe.read(bytes, at, Math.min(end, at + length));
    if (found === "no") return NOT_A_FRAME;
    return found === "more" && end < at + length ? NEED_MORE : LENGTH_BYTES + length;
  }
  const found = probe.read(bytes, at, Math.min(end, start + UNFRAMED_BYTES_MAX));
  if (found === "no") return NOT_A_FRAME;
  if (found === "more") return NEED_MORE;
  const stop = probe.skipBody();
  if (stop < 0) return NOT_A_FRAME;
  return stop === 0 ? NEED_MORE : stop - start;
}

/** A version, a type and a name; a message without a version is a weak guess. */
export function detect(bytes: Uint8Array, start: number, end: number): Detection {
  const at = messageStart(bytes, start, end);
  if (at < 0) return "more";
  const isVersioned = bytes[at] === STRICT || bytes[at] === COMPACT;
  if (at > start && readUint32(bytes, start) > FRAME_BYTES_MAX) return "no";
  const found = probe.read(bytes, at, end);
  return found === "yes" && !isVersioned ? "weak" : found;
}
