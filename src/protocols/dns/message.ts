// SPDX-License-Identifier: Apache-2.0
import { type NameTable, readUint16, readUint32 } from "../byte-cursor.ts";

export const HEADER_BYTES = 12;
/** RFC 1035, section 2.3.4: a name has up to 255 bytes, with its first length and the root's. */
const NAME_BYTES_MAX = 255;
const NAME_TEXT_MAX = NAME_BYTES_MAX - 2;
const POINTER = 0xc0;
const DOT = 46;
const ADDRESSES_MAX = 16;

export const TYPE_A = 1;
const TYPE_SOA = 6;
const TYPE_AAAA = 28;
const TYPE_OPT = 41;
export const TYPE_IXFR = 251;
export const TYPE_AXFR = 252;

/** A message of RFC 1035, read in place; never fails on what is cut off behind the question. */
export class DnsMessage {
  readonly #names: NameTable;
  readonly #name = new Uint8Array(NAME_BYTES_MAX + 1);
  #nameLength = 0;
  id = 0;
  isResponse = false;
  opcode = 0;
  isRecursionDesired = false;
  /** With the upper bits that EDNS adds, if its record was captured. */
  responseCode = 0;
  questionCount = 0;
  answerCount = 0;
  /** Of the first question; lower case, without the last dot, `.` for the root. */
  name = "";
  type = 0;
  class = 0;
  /** Of A and AAAA records among the answers. */
  addresses: string[] = [];
  /** SOA records among the answers: a transfer begins and ends with one. */
  soaCount = 0;

  constructor(names: NameTable) {
    this.#names = names;
  }

  /** False when this is not a message, or not all of its question is there. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < HEADER_BYTES) return false;
    const flags = readUint16(bytes, start + 2);
    this.id = readUint16(bytes, start);
    this.isResponse = flags >= 0x8000;
    this.opcode = (flags >> 11) & 15;
    this.isRecursionDesired = (flags & 0x100) !== 0;
    this.responseCode = flags & 15;
    this.questionCount = readUint16(bytes, start + 4);
    this.answerCount = readUint16(bytes, start + 6);
    this.name = "";
    this.type = 0;
    this.class = 0;
    this.soaCount = 0;
    if (this.addresses.length > 0) this.addresses = [];
    let at = start + HEADER_BYTES;
    for (let index = 0; index < this.questionCount; index++) {
      const next = this.#readName(bytes, start, at, end);
      if (next < 0 || end - next < 4) return index > 0;
      if (index === 0) {
        this.name = this.#nameText();
        this.type = readUint16(bytes, next);
        this.class = readUint16(bytes, next + 2);
      }
      at = next + 4;
    }
    if (this.isResponse) this.#readRecords(bytes, start, at, end);
    return true;
  }

  /** What stands behind the questions, as far as it is there. */
  #readRecords(bytes: Uint8Array, start: number, first: number, end: number): void {
    const others = readUint16(bytes, start + 8) + readUint16(bytes, start + 10);
    let at = first;
    for (let index = 0; index < this.answerCount + others; index++) {
      const fields = skipName(bytes, at, end);
      if (fields < 0 || end - fields < 10) return;
      const type = readUint16(bytes, fields);
      const length = readUint16(bytes, fields + 8);
      const data = fields + 10;
      if (type === TYPE_OPT) this.responseCode |= (bytes[fields + 4] ?? 0) << 4;
      at = data + length;
      if (at > end) return;
      if (index < this.answerCount) this.#answer(type, bytes, data, length);
    }
  }

  #answer(type: number, bytes: Uint8Array, at: number, length: number): void {
    if (type === TYPE_SOA) this.soaCount++;
    if (this.addresses.length >= ADDRESSES_MAX) return;
    if (type === TYPE_A && length === 4) {
      this.addresses.push(bytes.subarray(at, at + 4).join("."));
    } else if (type === TYPE_AAAA && length === 16) this.addresses.push(ipv6(bytes, at));
  }

  /** The position behind the name at `at`; -1 when it is none or cut. Pointers lead backwards only. */
  #readName(bytes: Uint8Array, start: number, first: number, end: number): number {
    let at = first;
    let next = -1;
    let limit = first;
    this.#nameLength = 0;
    for (;;) {
      if (at >= end) return -1;
      const length = bytes[at] ?? 0;
      if (length === 0) return next < 0 ? at + 1 : next;
      if (length >= POINTER) {
        if (at + 2 > end) return -1;
        const target = start + (readUint16(bytes, at) & 0x3fff);
        if (next < 0) next = at + 2;
        if (target >= limit || target < start + HEADER_BYTES) return -1;
        at = target;
        limit = target;
        continue;
      }
      if (length > 63 || at + 1 + length > end) return -1;
      if (this.#nameLength > 0) this.#name[this.#nameLength++] = DOT;
      if (this.#nameLength + length > NAME_TEXT_MAX) return -1;
      for (let index = 1; index <= length; index++) {
        const byte = bytes[at + index] ?? 0;
        this.#name[this.#nameLength++] = byte >= 65 && byte <= 90 ? byte + 32 : byte;
      }
      at += 1 + length;
    }
  }

  #nameText(): string {
    return this.#nameLength === 0 ? "." : this.#names.find(this.#name, 0, this.#nameLength);
  }
}

/** The position behind a name that nobody wants to know; -1 when it is none or cut. */
export function skipName(bytes: Uint8Array, first: number, end: number): number {
  let at = first;
  while (at < end) {
    const length = bytes[at] ?? 0;
    if (length === 0) return at + 1;
    if (length >= POINTER) return at + 2 <= end ? at + 2 : -1;
    if (length > 63 || at - first > NAME_BYTES_MAX) return -1;
    at += 1 + length;
  }
  return -1;
}

/** RFC 5952: lower case, the longest row of zeros, of two or more, as `::`. */
export function ipv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2) groups.push(readUint16(bytes, at + index));
  if (readUint32(bytes, at) === 0 && readUint32(bytes, at + 4) === 0 && groups[4] === 0) {
    if (groups[5] === 0xffff) return `::ffff:${bytes.subarray(at + 12, at + 16).join(".")}`;
  }
  let [best, bestLength] = [-1, 1];
  for (let index = 0; index < 8; index++) {
    let length = 0;
    while (index + length < 8 && groups[index + length] === 0) length++;
    if (length > bestLength) [best, bestLength] = [index, length];
  }
  const text = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(":");
  if (best < 0) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + bestLength))}`;
}
