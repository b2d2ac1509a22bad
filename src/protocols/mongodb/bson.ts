// SPDX-License-Identifier: Apache-2.0

/** Element types of https://bsonspec.org/spec.html */
export const DOUBLE = 0x01;
export const STRING = 0x02;
export const DOCUMENT = 0x03;
export const ARRAY = 0x04;
const BINARY = 0x05;
const OBJECT_ID = 0x07;
export const BOOLEAN = 0x08;
const REGEX = 0x0b;
const DB_POINTER = 0x0c;
const CODE = 0x0d;
const SYMBOL = 0x0e;
const CODE_WITH_SCOPE = 0x0f;
export const INT32 = 0x10;
const TIMESTAMP = 0x11;
export const INT64 = 0x12;
const DECIMAL = 0x13;

/** Bytes of values that are always as long; -1 for others and for what is no type. */
const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  [DOUBLE, 8],
  [0x06, 0],
  [OBJECT_ID, 12],
  [BOOLEAN, 1],
  [0x09, 8],
  [0x0a, 0],
  [INT32, 4],
  [TIMESTAMP, 8],
  [INT64, 8],
  [DECIMAL, 16],
  [0x7f, 0],
  [0xff, 0],
]);

const DOCUMENT_BYTES_MIN = 5;
const NAME_BYTES_MAX = 256;
const decoder = new TextDecoder();

export function readInt32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return a | (b << 8) | (c << 16) | (d << 24);
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) >>> 0;
}

/** The offset of the next NUL, or `end`. */
export function stringEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = Math.min(start, end);
  while (at < end && bytes[at] !== 0) at++;
  return at;
}

export function readText(bytes: Uint8Array, start: number, end: number): string {
  return decoder.decode(bytes.subarray(start, Math.min(end, start + NAME_BYTES_MAX)));
}

/**
 * The elements of one document, one after the other, of which only the beginning may be there.
 * `next` is false at the document's end, at bytes that are not there, and at what is no element.
 */
export class BsonElements {
  readonly #bytes: Uint8Array;
  #at: number;
  /** Of the bytes that are there. */
  readonly #end: number;
  /** The document was seen to its end. */
  isWhole = false;
  type = 0;
  name = "";
  /** Of the value. */
  start = 0;
  /** After the value, or as much of it as is there. */
  end = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    const length = end - start >= DOCUMENT_BYTES_MIN ? readInt32(bytes, start) : 0;
    this.#bytes = bytes;
    this.#at = length >= DOCUMENT_BYTES_MIN ? start + 4 : end;
    this.#end = Math.min(end, start + Math.max(length, 0));
  }

  next(): boolean {
    const bytes = this.#bytes;
    const type = this.#at < this.#end ? (bytes[this.#at] ?? 0) : -1;
    if (type <= 0) {
      this.isWhole = type === 0;
      return false;
    }
    const nameEnd = stringEnd(bytes, this.#at + 1, this.#end);
    if (nameEnd >= this.#end) return false;
    this.type = type;
    this.name = readText(bytes, this.#at + 1, nameEnd);
    this.start = nameEnd + 1;
    const length = valueLength(bytes, type, this.start, this.#end);
    if (length < 0) return false;
    this.#at = this.start + length;
    this.end = Math.min(this.#at, this.#end);
    return true;
  }
}

/** Bytes of a value, -1 when that is not known. */
function valueLength(bytes: Uint8Array, type: number, start: number, end: number): number {
  const fixed = FIXED_BYTES.get(type);
  if (fixed !== undefined) return fixed;
  if (type === REGEX) {
    const pattern = stringEnd(bytes, start, end) + 1;
    return stringEnd(bytes, pattern, end) + 1 - start;
  }
  if (end - start < 4) return -1;
  const length = readInt32(bytes, start);
  if (length < 0) return -1;
  switch (type) {
    case STRING:
    case CODE:
    case SYMBOL:
      return length < 1 ? -1 : 4 + length;
    case DOCUMENT:
    case ARRAY:
    case CODE_WITH_SCOPE:
      return length < DOCUMENT_BYTES_MIN ? -1 : length;
    case BINARY:
      return 5 + length;
    case DB_POINTER:
      return length < 1 ? -1 : 16 + length;
    default:
      return -1;
  }
}

/** A string's text without its NUL, as much of it as is there. */
export function readString(bytes: Uint8Array, element: BsonElements): string {
  const length = readInt32(bytes, element.start);
  const start = element.start + 4;
  return readText(bytes, start, Math.min(element.end, start + length - 1));
}

/** Of a double, int32, int64 below 2^53 or boolean; NaN for others. */
export function readNumber(bytes: Uint8Array, element: BsonElements): number {
  const { type, start, end } = element;
  if (type === BOOLEAN && end > start) return bytes[start] ?? 0;
  if (type === INT32 && end - start === 4) return readInt32(bytes, start);
  if (end - start !== 8) return Number.NaN;
  if (type === INT64) return readInt32(bytes, start + 4) * 0x100000000 + readUint32(bytes, start);
  if (type !== DOUBLE) return Number.NaN;
  return new DataView(bytes.buffer, bytes.byteOffset + start, 8).getFloat64(0, true);
}

/** Elements of an array, -1 when not all of it is there. */
export function countElements(bytes: Uint8Array, start: number, end: number): number {
  const elements = new BsonElements(bytes, start, end);
  let count = 0;
  while (elements.next()) count++;
  return elements.isWhole ? count : -1;
}

const TEXT_MAX = 1024;
const DEPTH_MAX = 4;
const HEX_TYPES: ReadonlySet<number> = new Set([BINARY, OBJECT_ID, DECIMAL]);

/** How a document is written down. */
interface TextShape {
  /** Values as they are; else `?`. */
  readonly raw: boolean;
  /** Names of the outermost document that are left out. */
  readonly without: ReadonlySet<string>;
  /** The outermost document's first value is shown. */
  readonly showFirst: boolean;
}

/** A document as JSON, with `?` for values; of an array without `raw` only the first element's shape. */
export function toText(bytes: Uint8Array, start: number, end: number, shape: TextShape): string {
  const budget = { left: TEXT_MAX };
  const text = documentText(bytes, new BsonElements(bytes, start, end), {
    shape,
    depth: 0,
    budget,
  });
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

interface Place {
  readonly shape: TextShape;
  readonly depth: number;
  readonly budget: { left: number };
}

function documentText(bytes: Uint8Array, elements: BsonElements, place: Place): string {
  const parts: string[] = [];
  const { shape, depth, budget } = place;
  for (let index = 0; budget.left > 0 && elements.next(); index++) {
    if (depth === 0 && shape.without.has(elements.name)) continue;
    budget.left -= elements.name.length + 5;
    const isShown = shape.raw || (depth === 0 && index === 0 && shape.showFirst);
    parts.push(`"${elements.name}": ${valueText(bytes, elements, place, isShown)}`);
  }
  return `{${parts.join(", ")}}`;
}

function valueText(bytes: Uint8Array, element: BsonElements, place: Place, shown: boolean): string {
  const { type, start, end } = element;
  const inner = { ...place, depth: place.depth + 1 };
  if ((type === DOCUMENT || type === ARRAY) && place.depth < DEPTH_MAX) {
    const elements = new BsonElements(bytes, start, end);
    if (type === DOCUMENT) return documentText(bytes, elements, inner);
    return arrayText(bytes, elements, inner);
  }
  if (!shown) return "?";
  const text = plainText(bytes, element);
  place.budget.left -= text.length;
  return text;
}

function arrayText(bytes: Uint8Array, elements: BsonElements, place: Place): string {
  const parts: string[] = [];
  const { raw } = place.shape;
  while (place.budget.left > 0 && elements.next()) {
    parts.push(valueText(bytes, elements, place, raw));
    if (!raw) break;
  }
  return `[${parts.join(", ")}]`;
}

function plainText(bytes: Uint8Array, element: BsonElements): string {
  const { type, start, end } = element;
  if (type === STRING || type === SYMBOL) return JSON.stringify(readString(bytes, element));
  if (type === BOOLEAN) return bytes[start] === 0 ? "false" : "true";
  const number = readNumber(bytes, element);
  if (!Number.isNaN(number)) return String(number);
  if (!HEX_TYPES.has(type)) return "null";
  const part = bytes.subarray(type === BINARY ? start + 5 : start, Math.min(end, start + 64));
  return `"${Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join("")}"`;
}
