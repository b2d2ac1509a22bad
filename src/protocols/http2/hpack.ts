// SPDX-License-Identifier: Apache-2.0
import { FIELD_NONE, FIELD_UNKNOWN, type FieldNames } from "../http/fields.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { decodeHuffman } from "./huffman.ts";
import { STATIC_TABLE } from "./static-table.ts";

/** Takes the fields of a block. Nothing is kept of `bytes` after the call. */
export interface FieldSink {
  /**
   * `code`: a FIELD_ code; fields of FIELD_NONE are left out. FIELD_UNKNOWN: there is a field whose name
   * or value is not known.
   */
  field(code: number, bytes: Uint8Array, start: number, end: number): void;
}

/** Strings longer than this are not kept: nobody looks at so much. */
const STRING_BYTES_MAX = 8192;
/** No code of RFC 7541 appendix B is longer: so many bytes an encoded string has at least. */
const HUFFMAN_BITS_MAX = 30;
const INTEGER_MAX = 0x0fffffff;

interface StaticEntries {
  readonly codes: Int32Array;
  readonly values: readonly Uint8Array[];
  readonly nameLengths: readonly number[];
}

/** What all decoders of a service share: codes of names, and room to decode strings. */
export class HpackShared {
  readonly names: FieldNames;
  readonly statics: StaticEntries;
  readonly name: Uint8Array = new Uint8Array(STRING_BYTES_MAX + 2);
  readonly value: Uint8Array = new Uint8Array(STRING_BYTES_MAX + 2);

  constructor(names: FieldNames) {
    const encoder = new TextEncoder();
    const entries = STATIC_TABLE.map(([name, value]) => ({
      name: encoder.encode(name),
      value: encoder.encode(value),
    }));
    this.names = names;
    this.statics = {
      codes: Int32Array.from(entries, ({ name }) => names.find(name, 0, name.length)),
      values: entries.map(({ value }) => value),
      nameLengths: entries.map(({ name }) => name.length),
    };
  }
}

/** HPACK (RFC 7541) of one direction of a connection. */
export class HpackDecoder {
  readonly table: DynamicTable = new DynamicTable();
  readonly #shared: HpackShared;
  /** The string read last: bytes, start and end; its length as far as it is known. */
  #bytes: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #leastBytes = 0;
  /** The string is there, but nobody asked for it or it is too long. */
  #skipped = false;
  #at = 0;

  constructor(shared: HpackShared) {
    this.#shared = shared;
  }

  /**
   * Decodes a whole header block. False: it is malformed, or `cut` before its end; fields were given
   * to `sink` up to there, and the table has been forgotten.
   */
  decode(bytes: Uint8Array, start: number, end: number, cut: boolean, sink: FieldSink): boolean {
    this.#at = start;
    while (this.#at >= 0 && this.#at < end) this.#representation(bytes, end, sink);
    if (this.#at === end && !cut) return true;
    this.table.forget();
    return false;
  }

  #representation(bytes: Uint8Array, end: number, sink: FieldSink): void {
    const first = bytes[this.#at] ?? 0;
    if ((first & 0x80) !== 0) this.#indexed(this.#integer(bytes, end, 7), sink);
    else if ((first & 0x40) !== 0)
      this.#literal(bytes, end, this.#integer(bytes, end, 6), sink, true);
    else if ((first & 0x20) !== 0) {
      const size = this.#integer(bytes, end, 5);
      if (size >= 0) this.table.resize(size);
    } else this.#literal(bytes, end, this.#integer(bytes, end, 4), sink, false);
  }

  #indexed(index: number, sink: FieldSink): void {
    const { codes, values } = this.#shared.statics;
    if (index < 0) return;
    if (index === 0) {
      this.#at = -1;
      return;
    }
    const value = values[index - 1];
    if (value !== undefined) {
      const code = codes[index - 1] ?? FIELD_NONE;
      if (code !== FIELD_NONE) sink.field(code, value, 0, value.length);
      return;
    }
    const place = index - 1 - values.length;
    const code = this.#dynamicCode(place);
    if (this.#at < 0 || code === FIELD_NONE) return;
    if (code === FIELD_UNKNOWN) sink.field(code, NOTHING, 0, 0);
    else {
      const from = this.table.start(place);
      sink.field(code, this.table.bytes, from, from + this.table.length(place));
    }
  }

  #dynamicCode(place: number): number {
    if (place >= this.table.count && this.table.complete) this.#at = -1;
    return this.table.code(place);
  }

  #literal(bytes: Uint8Array, end: number, index: number, sink: FieldSink, add: boolean): void {
    if (index < 0) return;
    const { names, statics } = this.#shared;
    let code: number;
    let nameBytes = statics.nameLengths[index - 1] ?? 0;
    if (index === 0) {
      this.#string(bytes, end, this.#shared.name, true);
      if (this.#at < 0) return;
      nameBytes = this.#leastBytes;
      code = this.#skipped ? FIELD_NONE : names.find(this.#bytes, this.#start, this.#end);
    } else if (index <= statics.codes.length) code = statics.codes[index - 1] ?? FIELD_NONE;
    else code = this.#dynamicCode(index - 1 - statics.codes.length);
    if (this.#at < 0) return;
    this.#string(bytes, end, this.#shared.value, code > FIELD_NONE);
    if (this.#at < 0) return;
    const known = code > FIELD_NONE && this.#skipped ? FIELD_UNKNOWN : code;
    if (add) {
      const least = nameBytes + this.#leastBytes;
      this.table.insert(known, least, this.#bytes, this.#start, this.#end);
    }
    if (known !== FIELD_NONE) sink.field(known, this.#bytes, this.#start, this.#end);
  }

  /** Section 5.1. -1, with `#at` -1, when it is cut or too large. */
  #integer(bytes: Uint8Array, end: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = (bytes[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    let factor = 1;
    while (this.#at < end) {
      const byte = bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (value > INTEGER_MAX || factor > INTEGER_MAX) break;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    this.#at = -1;
    return -1;
  }

  /** Section 5.2. Sets `#at` to -1 when it is cut or malformed. */
  #string(bytes: Uint8Array, end: number, scratch: Uint8Array, wanted: boolean): void {
    this.#bytes = NOTHING;
    this.#start = 0;
    this.#end = 0;
    this.#skipped = true;
    if (this.#at >= end) {
      this.#at = -1;
      return;
    }
    const huffman = (bytes[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(bytes, end, 7);
    if (length < 0 || length > end - this.#at) {
      this.#at = -1;
      return;
    }
    const start = this.#at;
    this.#at += length;
    this.#leastBytes = huffman ? Math.floor((length * 8) / HUFFMAN_BITS_MAX) : length;
    if (!wanted || length > STRING_BYTES_MAX) return;
    if (!huffman) {
      this.#bytes = bytes;
      this.#start = start;
      this.#end = start + length;
      this.#skipped = false;
      return;
    }
    const decoded = decodeHuffman(bytes, start, start + length, scratch);
    if (decoded < 0) {
      // Only what does not fit may be long.
      if (length * 8 < scratch.length * 5) this.#at = -1;
      return;
    }
    this.#bytes = scratch;
    this.#end = decoded;
    this.#leastBytes = decoded;
    this.#skipped = false;
  }
}

const NOTHING = new Uint8Array(0);
