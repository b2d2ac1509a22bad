// SPDX-License-Identifier: Apache-2.0
import { type NameTable, readUint16 } from "../byte-cursor.ts";
import { FASTJSON, HESSIAN2 } from "./frame.ts";

const QUOTE = 34;
const NEWLINE = 10;
const BACKSLASH = 92;

/** The first values of a request's or response's body, in Hessian 2 or in lines of JSON. */
export class DubboBody {
  readonly #names: NameTable;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #serialization = 0;

  constructor(names: NameTable) {
    this.#names = names;
  }

  over(bytes: Uint8Array, start: number, end: number, serialization: number): this {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#serialization = serialization;
    return this;
  }

  /** The next value, a string; undefined when it is something else, or not all there. */
  string(): string | undefined {
    if (this.#serialization === HESSIAN2) return this.#hessianString();
    return this.#serialization === FASTJSON ? this.#jsonString() : undefined;
  }

  /** The next value, a small integer; -1 when it is something else. */
  smallInteger(): number {
    const byte = this.#at < this.#end ? (this.#bytes[this.#at++] ?? 0) : 0;
    if (this.#serialization === HESSIAN2) return byte >= 0x80 && byte < 0xc0 ? byte - 0x90 : -1;
    if (this.#serialization !== FASTJSON || byte < 48 || byte > 57) return -1;
    if (this.#bytes[this.#at] === NEWLINE) this.#at++;
    return byte - 48;
  }

  /** The class of the next value, an object of a class that is not yet known; else empty. */
  className(): string {
    if (this.#serialization !== HESSIAN2 || this.#bytes[this.#at] !== 0x43) return "";
    this.#at++;
    return this.#hessianString() ?? "";
  }

  /** http://hessian.caucho.com/doc/hessian-serialization.html#string; lengths count characters. */
  #hessianString(): string | undefined {
    if (this.#at >= this.#end) return undefined;
    const tag = this.#bytes[this.#at++] ?? 0;
    if (tag === 0x4e) return "";
    if (tag <= 0x1f) return this.#characters(tag);
    if (tag >= 0x30 && tag <= 0x33) {
      return this.#characters((tag - 0x30) * 256 + (this.#bytes[this.#at++] ?? 0));
    }
    if (tag !== 0x53) return undefined;
    this.#at += 2;
    return this.#characters(readUint16(this.#bytes, this.#at - 2));
  }

  #characters(count: number): string | undefined {
    const start = this.#at;
    let at = start;
    for (let left = count; left > 0; left--) {
      if (at >= this.#end) return undefined;
      const byte = this.#bytes[at] ?? 0;
      at += byte < 0x80 ? 1 : byte < 0xe0 ? 2 : 3;
    }
    if (at > this.#end) return undefined;
    this.#at = at;
    return this.#names.find(this.#bytes, start, at);
  }

  /** A line of JSON: of strings with escapes nothing is made. */
  #jsonString(): string | undefined {
    const start = this.#at;
    const stop = this.#bytes.subarray(0, this.#end).indexOf(NEWLINE, start);
    if (stop < 0) return undefined;
    this.#at = stop + 1;
    if (stop - start === 4 && this.#bytes[start] === 0x6e) return "";
    if (this.#bytes[start] !== QUOTE || this.#bytes[stop - 1] !== QUOTE) return undefined;
    for (let at = start + 1; at < stop - 1; at++) {
      if (this.#bytes[at] === BACKSLASH) return undefined;
    }
    return this.#names.find(this.#bytes, start + 1, stop - 1);
  }
}
