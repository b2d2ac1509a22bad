// SPDX-License-Identifier: Apache-2.0
import type { NameTable } from "../byte-cursor.ts";
import { BerReader } from "./ber.ts";

const DEPTH_MAX = 16;
const TEXT_MAX = 512;
const OPERATORS: ReadonlyMap<number, string> = new Map([
  [0xa3, "="],
  [0xa4, "="],
  [0xa5, ">="],
  [0xa6, "<="],
  [0xa8, "~="],
]);
const SETS: ReadonlyMap<number, string> = new Map([
  [0xa0, "&"],
  [0xa1, "|"],
  [0xa2, "!"],
]);
const PRESENT = 0x87;
const EQUAL = 0xa3;

/** A search filter (RFC 4511, section 4.5.1.7) as RFC 4515 writes it. */
export class FilterText {
  readonly #names: NameTable;
  readonly #isRaw: boolean;
  #text = "";

  constructor(names: NameTable, isRaw: boolean) {
    this.#names = names;
    this.#isRaw = isRaw;
  }

  /** The filter in the elements of `bytes[start … end)`; cut off when it is long. */
  render(bytes: Uint8Array, start: number, end: number): string {
    this.#text = "";
    this.#render(bytes, start, end, 0);
    return this.#text.length > TEXT_MAX ? `${this.#text.slice(0, TEXT_MAX)}…` : this.#text;
  }

  #render(bytes: Uint8Array, start: number, end: number, depth: number): void {
    const reader = new BerReader().over(bytes, start, end);
    while (this.#text.length <= TEXT_MAX && reader.next()) {
      const set = SETS.get(reader.tag);
      if (set !== undefined && depth < DEPTH_MAX) {
        this.#text += `(${set}`;
        this.#render(bytes, reader.start, reader.end, depth + 1);
        this.#text += ")";
      } else if (reader.tag === PRESENT) {
        this.#text += `(${this.#names.find(bytes, reader.start, reader.end)}=*)`;
      } else this.#comparison(bytes, reader);
    }
  }

  #comparison(bytes: Uint8Array, { tag, start, end }: BerReader): void {
    const operator = OPERATORS.get(tag);
    const parts = new BerReader().over(bytes, start, end);
    if (operator === undefined || !parts.next()) {
      this.#text += "(?)";
      return;
    }
    const name = this.#names.find(bytes, parts.start, parts.end);
    let value = "?";
    if (this.#isRaw && tag === EQUAL && parts.next()) {
      value = this.#names.find(bytes, parts.start, parts.end);
    }
    this.#text += `(${name}${operator}${value})`;
  }
}

/** A distinguished name (RFC 4514) with its attributes' names, and `?` for their values. */
export function obfuscatedName(name: string): string {
  if (name === "") return "";
  return name
    .split(/(?<!\\)([,+])/)
    .map((part) => {
      if (part === "," || part === "+") return part;
      const at = part.indexOf("=");
      return at < 0 ? "?" : `${part.slice(0, at).trim()}=?`;
    })
    .join("");
}
