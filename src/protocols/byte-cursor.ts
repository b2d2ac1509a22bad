// SPDX-License-Identifier: Apache-2.0
import { ByteTable } from "./http1/byte-table.ts";

const NAMES_MAX = 2048;
const NAME_BYTES_MAX = 256;
const NO_BYTES = new Uint8Array(0);
const TWO_TO_32 = 0x100000000;

/** Names that messages repeat, each decoded once. Bounded: it starts anew when it is full. */
export class NameTable {
  readonly #names = new ByteTable<string>();

  /** UTF-8, cut off after 256 bytes; control characters are replaced. */
  find(bytes: Uint8Array, start: number, end: number): string {
    const stop = Math.min(end, start + NAME_BYTES_MAX);
    if (stop <= start) return "";
    const found = this.#names.find(bytes, start, stop);
    if (found !== undefined) return found;
    const name = decode(bytes, start, stop);
    if (this.#names.count >= NAMES_MAX) this.#names.clear();
    this.#names.add(bytes, start, stop, name);
    return name;
  }
}

const decoder = new TextDecoder();

function decode(bytes: Uint8Array, start: number, end: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced.
  return decoder.decode(bytes.subarray(start, end)).replaceAll(/[\0-\x1f\x7f]/g, "?");
}

/**
 * Reads big-endian fields one after the other. Past the end everything is 0 and `isCut` is set:
 * a reader looks at that once, before it believes what it read.
 */
export class ByteCursor {
  readonly #names: NameTable;
  bytes: Uint8Array = NO_BYTES;
  at = 0;
  end = 0;
  isCut = false;

  constructor(names: NameTable) {
    this.#names = names;
  }

  over(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.isCut = false;
    return this;
  }

  /** The position of the next `count` bytes, which are passed; -1 when they are not all there. */
  take(count: number): number {
    const { at } = this;
    if (count < 0 || this.isCut || count > this.end - at) {
      this.isCut = true;
      this.at = this.end;
      return -1;
    }
    this.at = at + count;
    return at;
  }

  skip(count: number): void {
    this.take(count);
  }

  uint8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : (this.bytes[at] ?? 0);
  }

  int8(): number {
    return (this.uint8() << 24) >> 24;
  }

  uint16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : (this.bytes[at] ?? 0) * 256 + (this.bytes[at + 1] ?? 0);
  }

  int16(): number {
    return (this.uint16() << 16) >> 16;
  }

  uint32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : readUint32(this.bytes, at);
  }

  int32(): number {
    return this.uint32() | 0;
  }

  /** As a double: exact to 2^53. */
  int64(): number {
    const high = this.int32();
    return high * TWO_TO_32 + this.uint32();
  }

  /** Base 128, least significant group first; of up to 10 bytes, as a double. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.uint8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    this.isCut = true;
    return 0;
  }

  /** `count` bytes as a name; empty when they are not all there. */
  name(count: number): string {
    const at = this.take(count);
    return at < 0 ? "" : this.nameAt(at, count);
  }

  /** Bytes that were passed, as a name. */
  nameAt(at: number, count: number): string {
    return this.#names.find(this.bytes, at, at + count);
  }
}

/** Four bytes, most significant first. */
export function readUint32(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] ?? 0) * 0x1000000;
  return high + (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
