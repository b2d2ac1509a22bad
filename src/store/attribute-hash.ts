// SPDX-License-Identifier: Apache-2.0
import { FieldReader, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT } from "../pdata/wire.ts";

/** Of a text so many first bytes count, and its length. */
const HASHED_BYTES = 64;
const [TEXT, BOOLEAN, INTEGER, DOUBLE, OTHER] = [1, 2, 3, 4, 5] as const;
/** Begins what TextDecoder cuts off: the text then is not what the bytes say. */
const MARK_FIRST_BYTE = 0xef;
const REPLACEMENT = "\ufffd";
/** Field and wire type of a KeyValue's key and value, and of an AnyValue's text. */
const [KEY_TAG, VALUE_TAG, TEXT_TAG] = [0x0a, 0x12, 0x0a] as const;
const encoder = new TextEncoder();

/** Is given a hash of each attribute's key, and of key and value together. */
export interface AttributeSink {
  attribute(keyHash: number, pairHash: number): void;
  /** There is an attribute that cannot be hashed: it may be anything. */
  unknown(): void;
}

/** Where a message stands. */
export interface MessageRange {
  readonly start: number;
  readonly end: number;
}

/** Hashes the attributes of messages as they lie; makes no object. */
export class AttributeHasher {
  readonly #sink: AttributeSink;
  readonly #attributes = new FieldReader();
  readonly #pair = new FieldReader();
  readonly #value = new FieldReader();
  #bytes: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);

  constructor(sink: AttributeSink) {
    this.#sink = sink;
  }

  /** The attributes in `field` of the message in `[start, end)`. */
  read(bytes: Uint8Array, { start, end }: MessageRange, field: number): void {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    const attributes = this.#attributes.reset(bytes, start, end);
    while (attributes.next()) {
      if (attributes.field !== field || attributes.wireType !== WIRE_BYTES) continue;
      const { start, stop } = attributes;
      if (!this.#readShort(start, stop) && !this.#readPair(start, stop)) this.#sink.unknown();
    }
  }

  /** A text under a key, both shorter than 128 bytes: most are. False of all others. */
  #readShort(start: number, stop: number): boolean {
    const bytes = this.#bytes;
    const keyStart = start + 2;
    const keyStop = keyStart + (bytes[start + 1] ?? 0);
    const textStart = keyStop + 4;
    const isShort =
      bytes[start] === KEY_TAG &&
      keyStop - keyStart < 0x80 &&
      textStart <= stop &&
      bytes[keyStop] === VALUE_TAG &&
      bytes[keyStop + 1] === stop - keyStop - 2 &&
      bytes[keyStop + 2] === TEXT_TAG &&
      bytes[keyStop + 3] === stop - textStart &&
      stop - textStart < 0x7e;
    if (!isShort || bytes[keyStart] === MARK_FIRST_BYTE || bytes[textStart] === MARK_FIRST_BYTE) {
      return false;
    }
    const keyHash = this.#textHash(TEXT, keyStart, keyStop);
    this.#sink.attribute(keyHash, this.#textHash(keyHash, textStart, stop));
    return true;
  }

  /** False of what is not written as every encoder writes it. */
  #readPair(start: number, stop: number): boolean {
    const bytes = this.#bytes;
    const pair = this.#pair.reset(bytes, start, stop);
    if (!pair.next() || !isMessage(pair, 1)) return false;
    if (bytes[pair.start] === MARK_FIRST_BYTE) return false;
    const keyHash = this.#textHash(TEXT, pair.start, pair.stop);
    if (!pair.next() || !isMessage(pair, 2)) return false;
    const { start: valueStart, stop: valueStop } = pair;
    if (pair.next() || pair.errorAt >= 0) return false;
    const value = this.#value.reset(bytes, valueStart, valueStop);
    // An empty value is as if the attribute were not there.
    if (!value.next()) return value.errorAt < 0;
    const pairHash = this.#valueHash(keyHash, value);
    if (value.next() || value.errorAt >= 0) return false;
    this.#sink.attribute(keyHash, pairHash);
    return true;
  }

  #valueHash(keyHash: number, { field, wireType, start, stop, low, high }: FieldReader): number {
    if (field === 1 && wireType === WIRE_BYTES && this.#bytes[start] !== MARK_FIRST_BYTE) {
      return this.#textHash(keyHash, start, stop);
    }
    if (field === 2 && wireType === WIRE_VARINT) {
      return numberHash(keyHash, BOOLEAN, { low: low === 0 ? 0 : 1, high: 0 });
    }
    if (field === 3 && wireType === WIRE_VARINT) return numberHash(keyHash, INTEGER, { low, high });
    if (field === 4 && wireType === WIRE_FIXED64) {
      return numberHash(keyHash, DOUBLE, {
        low: this.#view.getUint32(start, true),
        high: this.#view.getUint32(start + 4, true),
      });
    }
    return otherHash(keyHash);
  }

  #textHash(seed: number, start: number, stop: number): number {
    return hashText(seed, this.#view, { start, stop });
  }
}

function isMessage({ field, wireType }: FieldReader, wanted: number): boolean {
  return field === wanted && wireType === WIRE_BYTES;
}

/** The hash of an attribute's key, as `AttributeHasher` gives it; undefined when it has none. */
export function keyHashOf(key: string): number | undefined {
  return key.includes(REPLACEMENT) ? undefined : hashOf(TEXT, key);
}

/**
 * The hashes of all values of a key that are this text when they are shown; undefined when there
 * are others.
 */
export function pairHashesOf(key: string, text: string): readonly number[] | undefined {
  const keyHash = keyHashOf(key);
  if (keyHash === undefined || text.includes(REPLACEMENT) || text === "NaN") return undefined;
  const hashes = [hashOf(keyHash, text), otherHash(keyHash)];
  if (text === "true" || text === "false") {
    hashes.push(numberHash(keyHash, BOOLEAN, { low: text === "true" ? 1 : 0, high: 0 }));
  }
  if (/^-?\d{1,20}$/.test(text)) {
    const bits = BigInt.asUintN(64, BigInt(text));
    const [low, high] = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
    hashes.push(numberHash(keyHash, INTEGER, { low, high }));
  }
  const number = Number(text);
  if (String(number) === text) {
    // Minus nothing is shown as nothing.
    for (const value of number === 0 ? [0, -0] : [number]) {
      hashes.push(numberHash(keyHash, DOUBLE, halvesOf(value)));
    }
  }
  return hashes;
}

function halvesOf(value: number): { readonly low: number; readonly high: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return { low: view.getUint32(0, true), high: view.getUint32(4, true) };
}

function hashOf(seed: number, text: string): number {
  const bytes = encoder.encode(text);
  return hashText(seed, new DataView(bytes.buffer), { start: 0, stop: bytes.length });
}

function hashText(
  seed: number,
  view: DataView,
  { start, stop }: { readonly start: number; readonly stop: number },
): number {
  let hash = mix(seed, (stop - start) >>> 0);
  const end = Math.min(stop, start + HASHED_BYTES);
  let at = start;
  for (; at + 4 <= end; at += 4) hash = mix(hash, view.getUint32(at, true));
  let rest = 0;
  for (; at < end; at++) rest = (rest << 8) | view.getUint8(at);
  return finish(mix(hash, rest));
}

function numberHash(
  keyHash: number,
  type: number,
  { low, high }: { readonly low: number; readonly high: number },
): number {
  return finish(mix(mix(mix(keyHash, type), low), high));
}

/** Of lists, maps and bytes: which value it is does not count. */
function otherHash(keyHash: number): number {
  return finish(mix(keyHash, OTHER));
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return (mixed << 13) | (mixed >>> 19);
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Of the bits of a filter: the second of the two numbers that a hash stands for. */
export function secondHash(hash: number): number {
  return (finish(hash ^ 0x5bd1e995) | 1) >>> 0;
}
