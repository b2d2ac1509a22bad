// SPDX-License-Identifier: Apache-2.0

/** Wire types of protobuf's encoding (protobuf.dev/programming-guides/encoding). */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

const EMPTY = new Uint8Array(0);

/**
 * A cursor over the fields of one protobuf message: made once, reset for each message, so that
 * reading costs no objects. It never throws and never reads outside `[start, end)`: on malformed
 * input `next` returns false and `errorAt` holds the offset.
 */
export class FieldReader {
  bytes: Uint8Array = EMPTY;
  /** Where the next field starts. */
  position = 0;
  end = 0;
  field = 0;
  wireType = 0;
  /** Where the current field's tag stands. */
  tagAt = 0;
  /** The value's bytes: for strings, bytes and messages without their length prefix. */
  start = 0;
  stop = 0;
  /** The value of a varint field, or the length of a bytes field: low and high 32 bits, unsigned. */
  low = 0;
  high = 0;
  /** Offset at which the message is malformed, or -1. */
  errorAt = -1;

  reset(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.errorAt = -1;
    return this;
  }

  /** Moves to the next field; false at the end and on malformed input. */
  next(): boolean {
    const tagAt = this.position;
    if (tagAt >= this.end) return false;
    this.tagAt = tagAt;
    let tag = this.bytes[tagAt] ?? 0;
    if (tag < 0x80) {
      this.position = tagAt + 1;
    } else {
      if (!this.#varint() || this.high !== 0) return this.#fail(tagAt);
      tag = this.low;
    }
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) return this.#fail(tagAt);
    return this.#value();
  }

  /** Reads a bare varint, an element of a packed field, as if it were a varint field. */
  element(): boolean {
    this.tagAt = this.position;
    this.wireType = WIRE_VARINT;
    return this.#value();
  }

  #value(): boolean {
    const at = this.position;
    switch (this.wireType) {
      case WIRE_BYTES: {
        const first = at < this.end ? (this.bytes[at] ?? 0) : 0x80;
        if (first < 0x80) {
          this.low = first;
          this.high = 0;
          this.position = at + 1;
        } else if (!this.#varint() || this.high !== 0) {
          return this.#fail(at);
        }
        this.start = this.position;
        this.stop = this.start + this.low;
        break;
      }
      case WIRE_VARINT:
        this.start = at;
        if (!this.#varint()) return this.#fail(at);
        this.stop = this.position;
        break;
      case WIRE_FIXED64:
        this.start = at;
        this.stop = at + 8;
        break;
      case WIRE_FIXED32:
        this.start = at;
        this.stop = at + 4;
        break;
      default:
        return this.#fail(this.tagAt);
    }
    if (this.stop > this.end) return this.#fail(this.tagAt);
    this.position = this.stop;
    return true;
  }

  #fail(at: number): false {
    this.errorAt = at;
    this.position = this.end;
    return false;
  }

  /** Reads at `position` into `low` and `high`; false when cut off or longer than 10 bytes. */
  #varint(): boolean {
    const { bytes, end } = this;
    let at = this.position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) return false;
      const byte = bytes[at++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= shift < 63 ? bits << (shift - 32) : (bits & 1) << 31;
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        this.position = at;
        return true;
      }
    }
    return false;
  }
}

/** Malformed input, as the walkers report it: 0 or more is a count, below 0 is an offset. */
export function malformedAt(offset: number): number {
  return -1 - offset;
}

/** The offset that `malformedAt` wrapped. */
export function offsetOf(malformed: number): number {
  return -1 - malformed;
}

export { varintBytes } from "./proto-writer.ts";

/** Writes `value` as a varint at `at` and returns the offset behind it. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest >= 0x80) {
    bytes[position++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[position++] = rest;
  return position;
}

/** Little-endian 32 bits, unsigned. */
export function readFixed32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  );
}
