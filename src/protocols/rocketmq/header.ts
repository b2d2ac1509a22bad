// SPDX-License-Identifier: Apache-2.0
import { ByteCursor, type NameTable, readUint32 } from "../byte-cursor.ts";

const JSON_HEADER = 0;
const BINARY_HEADER = 1;
/** Fields of a header that are looked at. */
const FIELDS_MAX = 64;

/** A remoting command's header, in either serialization. */
export class RocketHeader {
  readonly #cursor: ByteCursor;
  code = 0;
  opaque = 0;
  isResponse = false;
  isOneWay = false;
  /** Extension fields, those that are asked for. */
  readonly fields: Map<string, string> = new Map();

  constructor(names: NameTable) {
    this.#cursor = new ByteCursor(names);
  }

  /** The header of the frame at `start`; false when it is none, or not all there. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.fields.clear();
    const length = readUint32(bytes, start + 4) & 0xffffff;
    const stop = start + 8 + length;
    if (stop > end) return false;
    const type = bytes[start + 4];
    if (type === JSON_HEADER) return this.#readJson(bytes, start + 8, stop);
    return type === BINARY_HEADER && this.#readBinary(bytes, start + 8, stop);
  }

  #setFlag(flag: number): void {
    this.isResponse = (flag & 1) !== 0;
    this.isOneWay = (flag & 2) !== 0;
  }

  #readJson(bytes: Uint8Array, start: number, end: number): boolean {
    let value: unknown;
    try {
      value = JSON.parse(decoder.decode(bytes.subarray(start, end)));
    } catch {
      return false;
    }
    if (!isRecord(value)) return false;
    const { code, opaque, flag, extFields } = value;
    if (!isNumber(code) || !isNumber(opaque) || !isNumber(flag)) return false;
    this.code = code;
    this.opaque = opaque | 0;
    this.#setFlag(flag);
    if (!isRecord(extFields)) return true;
    for (const [name, text] of Object.entries(extFields).slice(0, FIELDS_MAX)) {
      if (typeof text === "string") this.fields.set(name, text);
    }
    return true;
  }

  #readBinary(bytes: Uint8Array, start: number, end: number): boolean {
    const cursor = this.#cursor.over(bytes, start, end);
    this.code = cursor.int16();
    cursor.skip(3);
    this.opaque = cursor.int32();
    this.#setFlag(cursor.int32());
    cursor.skip(cursor.uint32());
    const size = cursor.uint32();
    const stop = cursor.at + size;
    if (cursor.isCut || stop > end) return false;
    for (let left = FIELDS_MAX; left > 0 && cursor.at < stop && !cursor.isCut; left--) {
      const name = cursor.name(cursor.uint16());
      const length = cursor.uint32();
      const at = cursor.take(length);
      if (at >= 0) this.fields.set(name, decoder.decode(bytes.subarray(at, at + length)));
    }
    return !cursor.isCut;
  }
}

const decoder = new TextDecoder();

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}
