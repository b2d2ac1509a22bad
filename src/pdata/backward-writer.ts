// SPDX-License-Identifier: Apache-2.0
import { varintBytes } from "./proto-writer.ts";

const encoder = new TextEncoder();
const START_BYTES = 4096;

/**
 * Builds a protobuf message from its end to its start, so that a length is known when it is
 * written: no second pass and no moving of bytes. Fields are given in reverse order.
 */
export class BackwardWriter {
  #bytes = new Uint8Array(START_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #at = START_BYTES;

  /** Bytes written so far. */
  get length(): number {
    return this.#bytes.length - this.#at;
  }

  /** What was written; a copy. The writer is empty afterwards. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(this.#at);
    this.#at = this.#bytes.length;
    return taken;
  }

  /** Forgets what was written since `length` was `mark`. */
  rewind(mark: number): void {
    this.#at = this.#bytes.length - mark;
  }

  #reserve(count: number): number {
    if (this.#at < count) {
      const size = Math.max(this.#bytes.length * 2, this.length + count);
      const grown = new Uint8Array(size);
      const at = size - this.length;
      grown.set(this.#bytes.subarray(this.#at), at);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
      this.#at = at;
    }
    this.#at -= count;
    return this.#at;
  }

  raw(bytes: Uint8Array): void {
    // First, because it may make the buffer anew.
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** The text's UTF-8 without a length. */
  text(value: string): void {
    const most = value.length * 3;
    const at = this.#reserve(most);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(at, at + most));
    this.#bytes.copyWithin(at + most - written, at, at + written);
    this.#at = at + most - written;
  }

  /** `value` is an integer in [0, 2^53). */
  varint(value: number): void {
    const count = varintBytes(value);
    let at = this.#reserve(count);
    let rest = value;
    for (let left = count; left > 1; left--) {
      this.#bytes[at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[at] = rest;
  }

  /** A 64-bit varint; negative values as two's complement in 10 bytes. */
  varint64(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    const parts: number[] = [];
    while (rest >= 0x80n) {
      parts.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    parts.push(Number(rest));
    const at = this.#reserve(parts.length);
    this.#bytes.set(parts, at);
  }

  fixed32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  fixed64(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }

  double(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value, true);
  }

  /** A field's number and wire type; written after the value that it precedes. */
  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** Closes a bytes field whose value was written since `length` was `mark`. */
  prefix(field: number, mark: number): void {
    this.varint(this.length - mark);
    this.tag(field, 2);
  }
}
