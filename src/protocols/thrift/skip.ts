// SPDX-License-Identifier: Apache-2.0
import { readUint16, readUint32 } from "../byte-cursor.ts";

/** Values in values; deeper ones are taken for no message. */
const DEPTH_MAX = 64;

const STRUCT = 12;
const COMPACT_STRUCT = 12;

/** Bytes of a binary value by its type; 0 for one of variable length, -1 for a type that is none. */
const BINARY_SIZES: readonly number[] = [-1, -1, 1, 1, 8, -1, 2, -1, 4, -1, 8, 0, 0, 0, 0, 0, 16];

/** Passes values of either encoding without looking at them. Linear in the bytes. */
export class ThriftSkipper {
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  at = 0;
  /** The end was reached: more is needed to tell. */
  isCut = false;
  /** No such value. */
  isBad = false;

  over(bytes: Uint8Array, start: number, end: number): this {
    this.#bytes = bytes;
    this.at = start;
    this.#end = end;
    this.isCut = false;
    this.isBad = false;
    return this;
  }

  get #isOver(): boolean {
    return this.isCut || this.isBad;
  }

  take(count: number): number {
    const { at } = this;
    if (this.#isOver || count > this.#end - at) {
      if (!this.isBad) this.isCut = true;
      return -1;
    }
    this.at = at + count;
    return at;
  }

  byte(): number {
    const at = this.take(1);
    return at < 0 ? 0 : (this.#bytes[at] ?? 0);
  }

  uint16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : readUint16(this.#bytes, at);
  }

  int32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : readUint32(this.#bytes, at) | 0;
  }

  /** Of up to 32 bits where it counts, of up to 64 to be passed. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 || this.#isOver) return value;
      scale *= 128;
    }
    this.isBad = true;
    return 0;
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  struct(isCompact: boolean): void {
    if (isCompact) this.#compactStruct(0);
    else this.#binaryStruct(0);
  }

  value(type: number, isCompact: boolean): void {
    if (isCompact) this.#compactField(type, 0);
    else this.#binary(type, 0);
  }

  #binaryStruct(depth: number): void {
    for (;;) {
      const type = this.byte();
      if (type === 0 || this.#isOver) return;
      this.take(2);
      this.#binary(type, depth + 1);
    }
  }

  #binary(type: number, depth: number): void {
    const size = BINARY_SIZES[type] ?? -1;
    if (size < 0 || depth > DEPTH_MAX) this.isBad = true;
    else if (size > 0) this.take(size);
    else if (type === STRUCT) this.#binaryStruct(depth);
    else if (type === 11) this.take(this.#count(this.int32()));
    else {
      const key = type === 13 ? this.byte() : -1;
      const element = this.byte();
      const count = this.#count(this.int32());
      const fixed = BINARY_SIZES[element] ?? -1;
      if (key < 0 && fixed > 0) {
        this.take(fixed * count);
        return;
      }
      for (let left = count; left > 0 && !this.#isOver; left--) {
        if (key >= 0) this.#binary(key, depth + 1);
        this.#binary(element, depth + 1);
      }
    }
  }

  #count(value: number): number {
    if (value < 0) this.isBad = true;
    return Math.max(0, value);
  }

  #compactStruct(depth: number): void {
    for (;;) {
      const head = this.byte();
      if (head === 0 || this.#isOver) return;
      if (head >> 4 === 0) this.varint();
      this.#compactField(head & 15, depth + 1);
    }
  }

  /** A field's type holds the value of a boolean. */
  #compactField(type: number, depth: number): void {
    if (type === 1 || type === 2) return;
    this.#compact(type, depth);
  }

  #compact(type: number, depth: number): void {
    if (depth > DEPTH_MAX) this.isBad = true;
    else if (type >= 1 && type <= 3) this.take(1);
    else if (type >= 4 && type <= 6) this.varint();
    else if (type === 7) this.take(8);
    else if (type === 8) this.take(this.varint());
    else if (type === COMPACT_STRUCT) this.#compactStruct(depth);
    else if (type === 9 || type === 10) {
      const head = this.byte();
      const count = head >> 4 === 15 ? this.varint() : head >> 4;
      this.#compactElements(count, -1, head & 15, depth);
    } else if (type === 11) {
      const count = this.varint();
      const types = count === 0 ? 0 : this.byte();
      this.#compactElements(count, types >> 4, types & 15, depth);
    } else if (type === 13) this.take(16);
    else this.isBad = true;
  }

  #compactElements(count: number, key: number, element: number, depth: number): void {
    for (let left = count; left > 0 && !this.#isOver; left--) {
      if (key >= 0) this.#compact(key, depth + 1);
      this.#compact(element, depth + 1);
    }
  }
}
