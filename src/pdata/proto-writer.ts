// SPDX-License-Identifier: Apache-2.0

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes that the varint of `value` (0 to 2^53) takes. */
export function varintBytes(value: number): number {
  let count = 1;
  let rest = value;
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128);
    count++;
  }
  return count;
}

/**
 * Writes protobuf forward into one slab that grows and is used again. Callers `reserve` once for
 * what they are about to write; the other methods do not check.
 */
export class ProtoWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacityBytes = 4096) {
    // Not cleared: only what was written is ever read.
    this.bytes = new Uint8Array(Buffer.allocUnsafeSlow(capacityBytes).buffer);
  }

  reset(): void {
    this.length = 0;
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    let capacity = this.bytes.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  byte(value: number): void {
    this.bytes[this.length++] = value;
  }

  /** 0 to 2^53. */
  varint(value: number): void {
    const bytes = this.bytes;
    let rest = value;
    let at = this.length;
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.length = at;
  }

  /** As int64: negative values take ten bytes. Integers of magnitude below 2^53. */
  int64(value: number): void {
    if (value >= 0) {
      this.varint(value);
      return;
    }
    // Two's complement: the low 32 bits, then 32 bits of the high word, by seven.
    let low = value >>> 0;
    let high = Math.floor(value / 0x100000000) >>> 0;
    for (let index = 0; index < 9; index++) {
      this.bytes[this.length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | ((high & 0x7f) << 25)) >>> 0;
      high >>>= 7;
    }
    this.bytes[this.length++] = low & 0x01;
  }

  fixed32(value: number): void {
    const bytes = this.bytes;
    const at = this.length;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
    this.length = at + 4;
  }

  fixed64(low: number, high: number): void {
    this.fixed32(low);
    this.fixed32(high);
  }

  double(value: number): void {
    scratchDouble[0] = value;
    this.copy(scratchDoubleBytes, 0, 8);
  }

  copy(source: Uint8Array, start: number, end: number): void {
    const bytes = this.bytes;
    let at = this.length;
    if (end - start > 64) {
      bytes.set(source.subarray(start, end), at);
      at += end - start;
    } else {
      for (let index = start; index < end; index++) bytes[at++] = source[index] ?? 0;
    }
    this.length = at;
  }

  /** All of `source`, which is best an array of its own and no view: views are slower to copy. */
  copyAll(source: Uint8Array): void {
    if (source.length < 32) {
      this.copy(source, 0, source.length);
      return;
    }
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  /** Copies bytes below 0x80 and stops at the first other one. True when all were copied. */
  copyAscii(source: Uint8Array, start: number, end: number): boolean {
    const bytes = this.bytes;
    let at = this.length;
    for (let index = start; index < end; index++) {
      const value = source[index] ?? 0;
      if (value > 0x7f) return false;
      bytes[at++] = value;
    }
    this.length = at;
    return true;
  }

  /** Writes characters below 0x80 and nothing when there is another. True when written. */
  ascii(text: string): boolean {
    const bytes = this.bytes;
    let at = this.length;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.length = at;
    return true;
  }

  /** Field of type string with its tag (below 0x80) and length. Reserves. */
  stringField(tag: number, text: string): void {
    this.reserve(text.length * 3 + 11);
    const start = this.length;
    this.byte(tag);
    this.varint(text.length);
    if (this.ascii(text)) return;
    this.length = start;
    this.bytesField(tag, encoder.encode(text));
  }

  /** Field of type bytes or an encoded message, with its tag (below 0x80) and length. Reserves. */
  bytesField(tag: number, value: Uint8Array): void {
    this.reserve(value.length + 11);
    this.byte(tag);
    this.varint(value.length);
    this.copyAll(value);
  }

  /**
   * Starts a message field whose length is not known. Returns what `endMessage` needs. Two bytes
   * are kept for the length: messages of 128 to 16,383 bytes are not moved at the end.
   */
  beginMessage(tag: number): number {
    this.reserve(3);
    this.byte(tag);
    this.length += 2;
    return this.length;
  }

  endMessage(start: number): void {
    const length = this.length - start;
    const sizeBytes = varintBytes(length);
    if (sizeBytes !== 2) {
      this.reserve(sizeBytes);
      this.bytes.copyWithin(start - 2 + sizeBytes, start, this.length);
    }
    this.length = start - 2;
    this.varint(length);
    this.length += length;
  }
}

const scratchDouble = new Float64Array(1);
const scratchDoubleBytes = new Uint8Array(scratchDouble.buffer);

/** UTF-8 with invalid sequences replaced by U+FFFD, as protobuf strings must be valid. */
export function toValidUtf8(bytes: Uint8Array): Uint8Array {
  return encoder.encode(decoder.decode(bytes));
}
