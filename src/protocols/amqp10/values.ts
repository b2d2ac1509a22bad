// SPDX-License-Identifier: Apache-2.0
import type { ByteCursor } from "../byte-cursor.ts";

/** Described values in one another that are passed. */
const DEPTH_MAX = 16;

const NULL = 0x40;
const TRUE = 0x41;
const FALSE = 0x42;

/** Fields of AMQP 1.0's type system (1.6), read one after the other. */
export class AmqpValues {
  readonly cursor: ByteCursor;
  /** Fields that are left in the list under way; missing ones at its end are null. */
  #left = 0;

  constructor(cursor: ByteCursor) {
    this.cursor = cursor;
  }

  /** The descriptor's number; -1 when there is none. */
  descriptor(): number {
    const { cursor } = this;
    if (cursor.uint8() !== 0) return -1;
    const code = cursor.uint8();
    if (code === 0x53) return cursor.uint8();
    if (code === 0x44) return 0;
    if (code === 0x80) {
      const high = cursor.uint32();
      const low = cursor.uint32();
      return high === 0 ? low : -1;
    }
    // A symbol: not in use.
    this.#skip(code);
    return -1;
  }

  /** Opens a list; false when there is none. */
  list(): boolean {
    const { cursor } = this;
    const code = cursor.uint8();
    this.#left = 0;
    if (code === 0x45) return true;
    if (code === 0xc0) {
      cursor.uint8();
      this.#left = cursor.uint8();
      return !cursor.isCut;
    }
    if (code === 0xd0) {
      cursor.uint32();
      this.#left = cursor.uint32();
      return !cursor.isCut;
    }
    this.#skip(code);
    return false;
  }

  get fieldsLeft(): number {
    return this.#left;
  }

  /** A value that is in no list. */
  skipValue(): void {
    this.#skip(this.cursor.uint8());
  }

  get #next(): number {
    if (this.#left === 0) return NULL;
    this.#left--;
    return this.cursor.uint8();
  }

  /** An unsigned integer of any width up to 32 bits; -1 for null and what is none. */
  uint(): number {
    const code = this.#next;
    if (code === 0x43) return 0;
    if (code === 0x52 || code === 0x50) return this.cursor.uint8();
    if (code === 0x60) return this.cursor.uint16();
    if (code === 0x70) return this.cursor.uint32();
    this.#skip(code);
    return -1;
  }

  bool(): boolean {
    const code = this.#next;
    if (code === TRUE) return true;
    if (code === FALSE) return false;
    if (code === 0x56) return this.cursor.uint8() === 1;
    this.#skip(code);
    return false;
  }

  /** A string or symbol, or a number as text; empty for the rest. */
  text(): string {
    const code = this.#next;
    const { cursor } = this;
    if (code === 0xa1 || code === 0xa3) return cursor.name(cursor.uint8());
    if (code === 0xb1 || code === 0xb3) return cursor.name(cursor.uint32());
    if (code === 0x53) return String(cursor.uint8());
    if (code === 0x44) return "0";
    this.#skip(code);
    return "";
  }

  skip(count = 1): void {
    for (let left = count; left > 0 && !this.cursor.isCut; left--) this.#skip(this.#next);
  }

  /** The descriptor of the next field, which must be a described list that is opened; -1 for null. */
  described(): number {
    if (this.#left === 0) return -1;
    const { cursor } = this;
    this.#left--;
    if (cursor.bytes[cursor.at] !== 0 || cursor.at >= cursor.end) {
      this.#skip(cursor.uint8());
      return -1;
    }
    return this.descriptor();
  }

  /** Reads the first field of a described list as text, and passes the rest of it. */
  firstText(): string {
    const { cursor } = this;
    const outer = this.#left;
    const code = cursor.bytes[cursor.at];
    const start = cursor.at;
    const size =
      code === 0xc0
        ? 2 + (cursor.bytes[start + 1] ?? 0)
        : code === 0xd0
          ? 5 + this.#size32(start)
          : 1;
    const first = this.list() ? this.text() : "";
    this.#left = outer;
    if (!cursor.isCut) cursor.at = Math.min(start + size, cursor.end);
    return first;
  }

  #size32(start: number): number {
    const { bytes } = this.cursor;
    let size = 0;
    for (let index = 1; index <= 4; index++) size = size * 256 + (bytes[start + index] ?? 0);
    return size;
  }

  #skip(code: number): void {
    const { cursor } = this;
    let left = 1;
    let format = code;
    for (let depth = 0; depth < DEPTH_MAX && left > 0; depth++) {
      // A described value: its descriptor and the value itself.
      if (format === 0) left += 2;
      else this.#skipPlain(format);
      left--;
      if (left > 0) format = cursor.uint8();
    }
    if (left > 0) cursor.skip(cursor.end);
  }

  #skipPlain(code: number): void {
    const { cursor } = this;
    switch (code >> 4) {
      case 0x4:
        return;
      case 0x5:
      case 0x6:
      case 0x7:
      case 0x8:
      case 0x9:
        cursor.skip(1 << ((code >> 4) - 5));
        return;
      case 0xa:
      case 0xc:
      case 0xe:
        cursor.skip(cursor.uint8());
        return;
      case 0xb:
      case 0xd:
      case 0xf:
        cursor.skip(cursor.uint32());
        return;
      default:
        // No type: what follows cannot be read.
        cursor.skip(cursor.end + 1);
    }
  }
}
