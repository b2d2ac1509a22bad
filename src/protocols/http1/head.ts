// SPDX-License-Identifier: Apache-2.0
import { isTokenByte } from "../http/characters.ts";
import { FIELD_NONE, FieldNames } from "../http/fields.ts";
import { METHOD_OTHER, methodIndexOf } from "../http/methods.ts";

/** Results of `parseRequest` and `parseResponse` besides the offset after the head. */
export const NEED_MORE = -1;
export const MALFORMED = -2;

/** Values of `Head.contentLength` besides a length. */
export const LENGTH_ABSENT = -1;
/** Not a number, too large, or several that differ (RFC 9112 section 6.3, rule 5). */
export const LENGTH_INVALID = -2;

export const ENCODING_ABSENT = 0;
/** `chunked` is the final transfer coding. */
export const ENCODING_CHUNKED = 1;
/** Another one is final, or the field is faulty. */
export const ENCODING_OTHER = 2;

const METHOD_BYTES_MAX = 64;
/** Fields of one head that are noted. */
const NOTES_MAX = 24;
const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const COMMA = 44;
const COLON = 58;

const HOST = lowerCaseBytes("host");
const CONTENT_LENGTH = lowerCaseBytes("content-length");
const TRANSFER_ENCODING = lowerCaseBytes("transfer-encoding");
const TRACEPARENT = lowerCaseBytes("traceparent");
const CHUNKED = lowerCaseBytes("chunked");
const HTTP_1 = lowerCaseBytes("HTTP/1.");

/** A header that the configuration names, and where its values are kept. */
export interface WantedHeader {
  /** Lower-case name. */
  readonly utf8: Uint8Array;
  readonly values: string[];
}

/**
 * Reads the head of one message by RFC 9112 (bare LF accepted, section 2.2). Offsets are into the
 * bytes of the last parse. One instance is used for all connections: nothing outlives a parse.
 */
export class Head {
  methodIndex: number = METHOD_OTHER;
  methodStart = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  /** HTTP/1.`minor` */
  minor = 0;
  status = 0;
  /** The first line was read; true as well for heads that are cut off later. */
  lineRead = false;
  contentLength: number = LENGTH_ABSENT;
  transferEncoding: number = ENCODING_ABSENT;
  hostStart = 0;
  /** `hostStart` when there is no or an empty Host. */
  hostEnd = 0;
  traceparentStart = 0;
  /** `traceparentStart` when there is none or more than one. */
  traceparentEnd = 0;
  /** Other fields that are looked at: FIELD_ code, start and end of the value, again and again. */
  readonly notes: Int32Array = new Int32Array(3 * NOTES_MAX);
  /** Numbers that `notes` holds. */
  notesEnd = 0;
  readonly #names = new FieldNames([], []);
  #hosts = 0;
  #traceparents = 0;
  #folded: "harmless" | "framing" = "harmless";

  parseRequest(
    bytes: Uint8Array,
    start: number,
    end: number,
    wanted: readonly WantedHeader[],
  ): number {
    this.#reset();
    let at = start;
    const limit = Math.min(end, start + METHOD_BYTES_MAX);
    while (at < limit && isTokenByte(bytes[at] ?? 0)) at++;
    if (at === end) return NEED_MORE;
    if (at === start || bytes[at] !== SPACE) return MALFORMED;
    this.methodStart = start;
    this.methodEnd = at;
    this.methodIndex = methodIndexOf(bytes, start, at);
    at++;
    const target = at;
    while (at < end && (bytes[at] ?? 0) > SPACE) at++;
    if (at === end) return NEED_MORE;
    if (at === target || bytes[at] !== SPACE) return MALFORMED;
    this.targetStart = target;
    this.targetEnd = at;
    at = this.#version(bytes, at + 1, end);
    if (at < 0) return at;
    at = endOfLine(bytes, at, end);
    if (at < 0) return at;
    this.lineRead = true;
    return this.#fields(bytes, at, end, wanted);
  }

  parseResponse(
    bytes: Uint8Array,
    start: number,
    end: number,
    wanted: readonly WantedHeader[],
  ): number {
    this.#reset();
    let at = this.#version(bytes, start, end);
    if (at < 0) return at;
    // SP, three digits, then SP and the reason, or the end of the line (some leave the SP out).
    if (end - at < 5) return NEED_MORE;
    if (bytes[at] !== SPACE) return MALFORMED;
    let status = 0;
    for (let index = at + 1; index < at + 4; index++) {
      const digit = (bytes[index] ?? 0) - 48;
      if (digit < 0 || digit > 9) return MALFORMED;
      status = status * 10 + digit;
    }
    if (status < 100) return MALFORMED;
    this.status = status;
    at += 4;
    const next = bytes[at];
    if (next !== SPACE && next !== CR && next !== LF) return MALFORMED;
    at = skipText(bytes, at, end);
    at = at < 0 ? at : endOfLine(bytes, at, end);
    if (at < 0) return at;
    this.lineRead = true;
    return this.#fields(bytes, at, end, wanted);
  }

  #reset(): void {
    this.status = 0;
    this.lineRead = false;
    this.contentLength = LENGTH_ABSENT;
    this.transferEncoding = ENCODING_ABSENT;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.traceparentStart = 0;
    this.traceparentEnd = 0;
    this.notesEnd = 0;
    this.#hosts = 0;
    this.#traceparents = 0;
    this.#folded = "harmless";
  }

  /** `HTTP/1.` and a digit. */
  #version(bytes: Uint8Array, start: number, end: number): number {
    for (let index = 0; index < HTTP_1.length; index++) {
      if (start + index >= end) return NEED_MORE;
      if (bytes[start + index] !== HTTP_1[index]) return MALFORMED;
    }
    const at = start + HTTP_1.length;
    if (at >= end) return NEED_MORE;
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return MALFORMED;
    this.minor = digit;
    return at + 1;
  }

  #fields(bytes: Uint8Array, start: number, end: number, wanted: readonly WantedHeader[]): number {
    let at = start;
    while (at < end) {
      const first = bytes[at] ?? 0;
      if (first === LF) return at + 1;
      if (first === CR) {
        if (at + 1 === end) return NEED_MORE;
        return bytes[at + 1] === LF ? at + 2 : MALFORMED;
      }
      if (first === SPACE || first === TAB) {
        // obs-fold (section 5.2). Before the first field nothing can be continued.
        if (at === start) return MALFORMED;
        at = skipText(bytes, at, end);
        at = at < 0 ? at : endOfLine(bytes, at, end);
        if (at < 0) return at;
        if (this.#folded === "framing") this.#framingFault();
        continue;
      }
      const name = at;
      while (at < end && isTokenByte(bytes[at] ?? 0)) at++;
      if (at === end) return NEED_MORE;
      if (at === name || bytes[at] !== COLON) return MALFORMED;
      const nameEnd = at;
      const value = at + 1;
      at = skipText(bytes, value, end);
      if (at < 0) return at;
      const next = endOfLine(bytes, at, end);
      if (next < 0) return next;
      this.#field(bytes, name, nameEnd, value, at, wanted);
      at = next;
    }
    return NEED_MORE;
  }

  #field(
    bytes: Uint8Array,
    name: number,
    nameEnd: number,
    value: number,
    valueEnd: number,
    wanted: readonly WantedHeader[],
  ): void {
    let start = value;
    let end = valueEnd;
    while (start < end && isBlank(bytes[start])) start++;
    while (end > start && isBlank(bytes[end - 1])) end--;
    this.#folded = "harmless";
    const length = nameEnd - name;
    if (length === 4 && equalsLowerCase(bytes, name, HOST)) this.#host(start, end);
    else if (length === 14 && equalsLowerCase(bytes, name, CONTENT_LENGTH)) {
      this.#contentLength(bytes, start, end);
    } else if (length === 17 && equalsLowerCase(bytes, name, TRANSFER_ENCODING)) {
      this.#encoding(bytes, start, end);
    } else if (length === 11 && equalsLowerCase(bytes, name, TRACEPARENT)) {
      this.#traceparents++;
      this.traceparentStart = start;
      this.traceparentEnd = this.#traceparents === 1 ? end : start;
    } else this.#note(this.#names.find(bytes, name, nameEnd), start, end);
    if (wanted.length > 0) keepValue(wanted, bytes, { name, length, start, end });
  }

  #note(code: number, start: number, end: number): void {
    if (code === FIELD_NONE || this.notesEnd === this.notes.length) return;
    this.notes[this.notesEnd++] = code;
    this.notes[this.notesEnd++] = start;
    this.notes[this.notesEnd++] = end;
  }

  #host(start: number, end: number): void {
    this.#hosts++;
    this.hostStart = start;
    // More than one Host is an error (RFC 9112 section 3.2): believe none.
    this.hostEnd = this.#hosts === 1 ? end : start;
  }

  #contentLength(bytes: Uint8Array, start: number, end: number): void {
    this.#folded = "framing";
    const length = lengthOf(bytes, start, end);
    if (this.contentLength === LENGTH_ABSENT) this.contentLength = length;
    else if (this.contentLength !== length) this.contentLength = LENGTH_INVALID;
  }

  #encoding(bytes: Uint8Array, start: number, end: number): void {
    this.#folded = "framing";
    let last = end;
    while (last > start && bytes[last - 1] !== COMMA) last--;
    while (last < end && isBlank(bytes[last])) last++;
    // Chunked twice is as faulty as chunked before another coding (section 6.1).
    const again = this.transferEncoding !== ENCODING_ABSENT;
    const chunked = end - last === CHUNKED.length && equalsLowerCase(bytes, last, CHUNKED);
    const before = again && this.transferEncoding === ENCODING_CHUNKED;
    this.transferEncoding = chunked && !before ? ENCODING_CHUNKED : ENCODING_OTHER;
  }

  #framingFault(): void {
    if (this.contentLength !== LENGTH_ABSENT) this.contentLength = LENGTH_INVALID;
    if (this.transferEncoding !== ENCODING_ABSENT) this.transferEncoding = ENCODING_OTHER;
  }
}

/** Where a field's name and trimmed value stand. */
interface FieldPlace {
  readonly name: number;
  readonly length: number;
  readonly start: number;
  readonly end: number;
}

function keepValue(wanted: readonly WantedHeader[], bytes: Uint8Array, place: FieldPlace): void {
  for (const header of wanted) {
    if (header.utf8.length !== place.length) continue;
    if (!equalsLowerCase(bytes, place.name, header.utf8)) continue;
    header.values.push(textOf(bytes, place.start, place.end));
  }
}

/** Skips field text up to CR or LF. Other control characters, NUL first of all, are malformed. */
function skipText(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at] ?? 0;
    if (byte < SPACE && byte !== TAB) return byte === LF || byte === CR ? at : MALFORMED;
    at++;
  }
  return NEED_MORE;
}

/** The offset after CRLF or LF at `at`. */
function endOfLine(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return NEED_MORE;
  if (bytes[at] === LF) return at + 1;
  if (bytes[at] !== CR) return MALFORMED;
  if (at + 1 >= end) return NEED_MORE;
  return bytes[at + 1] === LF ? at + 2 : MALFORMED;
}

/** `1*DIGIT`, or a list of equal ones; below 2^53. */
function lengthOf(bytes: Uint8Array, start: number, end: number): number {
  let result: number = LENGTH_ABSENT;
  let at = start;
  while (at <= end) {
    while (at < end && isBlank(bytes[at])) at++;
    let value = 0;
    const digits = at;
    while (at < end) {
      const digit = (bytes[at] ?? 0) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      at++;
    }
    if (at === digits || value > Number.MAX_SAFE_INTEGER) return LENGTH_INVALID;
    if (result !== LENGTH_ABSENT && result !== value) return LENGTH_INVALID;
    result = value;
    while (at < end && isBlank(bytes[at])) at++;
    if (at === end) return result;
    if (bytes[at] !== COMMA) return LENGTH_INVALID;
    at++;
  }
  return LENGTH_INVALID;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

/** `expected` is lower case; letters of `bytes` may be of either. */
function equalsLowerCase(bytes: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index++) {
    const byte = bytes[start + index] ?? 0;
    const lower = byte >= 65 && byte <= 90 ? byte | 0x20 : byte;
    if (lower !== expected[index]) return false;
  }
  return true;
}

const decoder = new TextDecoder();

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return decoder.decode(bytes.slice(start, end));
}

function lowerCaseBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
