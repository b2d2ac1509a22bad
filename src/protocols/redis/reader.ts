// SPDX-License-Identifier: Apache-2.0

/** What a reader tells of one direction; offsets are into the bytes that it was fed. */
export interface RespHandler {
  /** The first byte of a message: its type, or the first letter of an inline command. */
  started(type: number, offset: number): void;
  /** A top-level aggregate's count of elements. */
  counted(count: number): void;
  /** One of the first elements of an aggregate; the first bytes of it. */
  element(index: number, kept: Uint8Array, keptLength: number): void;
  /** The message is whole. The line of a simple string or error, or of an inline command, is kept. */
  ended(type: number, kept: Uint8Array, keptLength: number): void;
}

export const ARRAY = 0x2a;
export const PUSH = 0x3e;
export const ERROR = 0x2d;
export const BULK_ERROR = 0x21;
export const INLINE = 0;

const BULK = 0x24;
const VERBATIM = 0x3d;
const MAP = 0x25;
const SET = 0x7e;
const ATTRIBUTE = 0x7c;
const CR = 13;
const LF = 10;

/** proto-max-bulk-len is 512 MB by default and may be raised: more than 4 GB is not RESP. */
const BULK_MAX = 2 ** 32;
const ELEMENTS_MAX = 2 ** 31;
const DEPTH_MAX = 32;
const HEADER_BYTES_MAX = 32;
const LINE_BYTES_MAX = 64 * 1024;
/** What the handler is shown of a message. */
export interface RespShown {
  /** Elements of a top-level aggregate. */
  readonly elements: number;
  /** Of each. */
  readonly bytes: number;
}
/** Enough to know what a command does. */
export const SHOWN_FEW: RespShown = { elements: 3, bytes: 64 };
const NOTHING = new Uint8Array(0);

/** Simple types: the whole value is the line. `+ - : _ # , (` */
const SIMPLE: ReadonlySet<number> = new Set([0x2b, 0x2d, 0x3a, 0x5f, 0x23, 0x2c, 0x28]);

/**
 * Frames one direction of RESP2 and RESP3 as it comes, in pieces of any size. Keeps nothing of
 * values but the first bytes of the first elements.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
export class RespReader {
  readonly #handler: RespHandler;
  /** Clients send arrays of bulk strings or inline commands only. */
  readonly #isRequest: boolean;
  /** Type of the top-level message that is being read, -1 between messages. */
  #message = -1;
  /** Type of the line that is being read, -1 between elements. */
  #type = -1;
  /** Of the bulk that is being read, with its CRLF. */
  #bulk = 0;
  #lineBytes = 0;
  #afterCr = false;
  #kept: Uint8Array = NOTHING;
  #keptLength = 0;
  /** Elements that are left, one number a level.  */
  #left: number[] = [];
  /** A bit for each level that is an attribute's. */
  #attributes = 0;
  #index = 0;

  readonly #shown: RespShown;

  constructor(handler: RespHandler, isRequest: boolean, shown: RespShown = SHOWN_FEW) {
    this.#handler = handler;
    this.#isRequest = isRequest;
    this.#shown = shown;
  }

  get atBoundary(): boolean {
    return this.#message < 0;
  }

  /** The type byte of the message that is being read, -1 between messages. */
  get message(): number {
    return this.#message;
  }

  reset(): void {
    this.#message = -1;
    this.#type = -1;
    this.#bulk = 0;
    this.#keptLength = 0;
    this.#attributes = 0;
    if (this.#left.length > 0) this.#left = [];
  }

  /** Reads up to `end` or up to the end of a message: returns the offset after it, -1 if malformed. */
  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end) {
      if (this.#bulk > 0) at = this.#readBulk(bytes, at, end);
      else if (this.#type >= 0) at = this.#readLine(bytes, at, end);
      else at = this.#readType(bytes, at);
      if (at < 0 || (this.#message < 0 && at > start)) return at;
    }
    return at;
  }

  /** Bytes that nobody saw. False when they are not all inside one value. */
  hole(count: number): boolean {
    if (count > this.#bulk) return false;
    this.#bulk -= count;
    if (this.#bulk === 0) this.#elementEnd();
    return true;
  }

  #readType(bytes: Uint8Array, at: number): number {
    const type = bytes[at] ?? 0;
    if (this.#message < 0) {
      if (this.#isRequest && type !== ARRAY) return this.#startInline(type, at);
      this.#message = type;
      this.#index = 0;
      this.#handler.started(type, at);
    } else if (this.#isRequest && type !== BULK) return -1;
    // The reply that an attribute comes before.
    else if (this.#message === ATTRIBUTE && this.#left.length === 0) this.#message = type;
    if (!isType(type)) return -1;
    this.#type = type;
    this.#startLine();
    return at + 1;
  }

  #startInline(first: number, at: number): number {
    // Redis skips empty lines.
    if (first === CR || first === LF) return at + 1;
    if (first < 0x21 || first > 0x7e) return -1;
    this.#message = INLINE;
    this.#type = INLINE;
    this.#handler.started(first, at);
    this.#startLine();
    return at;
  }

  #startLine(): void {
    this.#lineBytes = 0;
    this.#keptLength = 0;
    this.#afterCr = false;
    if (this.#kept.length === 0) this.#kept = new Uint8Array(this.#shown.bytes);
  }

  #readLine(bytes: Uint8Array, start: number, end: number): number {
    const kept = this.#kept;
    let length = this.#keptLength;
    let at = start;
    while (at < end) {
      const byte = bytes[at++] ?? 0;
      if (byte === LF) {
        this.#lineBytes += at - start;
        this.#keptLength = length;
        return this.#lineEnd(at);
      }
      if (this.#afterCr) return -1;
      if (byte === CR) this.#afterCr = true;
      else if (length < this.#shown.bytes) kept[length++] = byte;
    }
    this.#keptLength = length;
    this.#lineBytes += at - start;
    const isValue = this.#type === INLINE || SIMPLE.has(this.#type);
    return this.#lineBytes > (isValue ? LINE_BYTES_MAX : HEADER_BYTES_MAX) ? -1 : at;
  }

  #lineEnd(at: number): number {
    const type = this.#type;
    if (type !== INLINE && !this.#afterCr) return -1;
    this.#type = -1;
    if (type === INLINE || SIMPLE.has(type)) {
      this.#elementEnd();
      return at;
    }
    const count = this.#number();
    if (count < -1) return -1;
    if (type === BULK || type === VERBATIM || type === BULK_ERROR) {
      if (count > BULK_MAX) return -1;
      this.#keptLength = 0;
      if (count < 0) this.#elementEnd();
      else this.#bulk = count + 2;
      return at;
    }
    return this.#open(type, count) ? at : -1;
  }

  /** The decimal number of the line; -2 when it is none. */
  #number(): number {
    const kept = this.#kept;
    const length = this.#keptLength;
    if (length === 2 && kept[0] === 0x2d && kept[1] === 0x31) return -1;
    if (length === 0 || length > 10) return -2;
    let value = 0;
    for (let index = 0; index < length; index++) {
      const digit = (kept[index] ?? 0) - 48;
      if (digit < 0 || digit > 9) return -2;
      value = value * 10 + digit;
    }
    return value;
  }

  /** An aggregate begins. False when it cannot be. */
  #open(type: number, count: number): boolean {
    const left = this.#left;
    if (count > ELEMENTS_MAX || left.length >= DEPTH_MAX) return false;
    this.#keptLength = 0;
    if (left.length === 0 && type !== ATTRIBUTE) this.#handler.counted(count);
    // An attribute comes before its value and is no element itself (RESP3).
    if (type === ATTRIBUTE) {
      if (count > 0) {
        this.#attributes |= 1 << left.length;
        left.push(count * 2);
      }
      return true;
    }
    if (count <= 0) this.#elementEnd();
    else left.push(type === MAP ? count * 2 : count);
    return true;
  }

  #readBulk(bytes: Uint8Array, at: number, end: number): number {
    const before = this.#bulk;
    const taken = Math.min(before, end - at);
    const rest = before - taken;
    const length = this.#keptLength;
    const max = this.#shown.bytes;
    if (length < max && this.#isShown()) {
      const count = Math.min(taken, before - 2, max - length);
      for (let index = 0; index < count; index++)
        this.#kept[length + index] = bytes[at + index] ?? 0;
      if (count > 0) this.#keptLength = length + count;
    }
    if (before >= 2 && rest <= 1 && bytes[at + before - 2] !== CR) return -1;
    if (rest === 0 && bytes[at + taken - 1] !== LF) return -1;
    this.#bulk = rest;
    if (rest === 0) this.#elementEnd();
    return at + taken;
  }

  #isShown(): boolean {
    return this.#left.length <= 1 && this.#index < this.#shown.elements;
  }

  #elementEnd(): void {
    const left = this.#left;
    if (left.length === 1 && (this.#attributes & 1) === 0) {
      if (this.#index < this.#shown.elements) {
        this.#handler.element(this.#index, this.#kept, this.#keptLength);
      }
      this.#index++;
    }
    for (;;) {
      const depth = left.length;
      if (depth === 0) {
        const type = this.#message;
        this.#message = -1;
        this.#handler.ended(type, this.#kept, this.#keptLength);
        return;
      }
      const rest = (left[depth - 1] ?? 0) - 1;
      left[depth - 1] = rest;
      if (rest > 0) return;
      left.pop();
      const level = 1 << (depth - 1);
      if ((this.#attributes & level) !== 0) {
        this.#attributes &= ~level;
        return;
      }
      if (depth === 2 && (this.#attributes & 1) === 0) this.#index++;
    }
  }
}

function isType(type: number): boolean {
  return (
    SIMPLE.has(type) ||
    type === BULK ||
    type === ARRAY ||
    type === PUSH ||
    type === MAP ||
    type === SET ||
    type === VERBATIM ||
    type === BULK_ERROR ||
    type === ATTRIBUTE
  );
}
