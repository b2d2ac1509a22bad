// SPDX-License-Identifier: Apache-2.0
import { hexDigit } from "../http/characters.ts";
import type { MessageCounter } from "../http/message-counter.ts";

/** How a body is delimited (RFC 9112 section 6.3). */
export const BODY_NONE = 0;
export const BODY_LENGTH = 1;
export const BODY_CHUNKED = 2;
export const BODY_UNTIL_CLOSE = 3;
/** The end cannot be computed: only the connection's next message or close shows it. */
export const BODY_UNKNOWN = 4;

/** States of a chunked body. */
const SIZE_FIRST = 0;
const SIZE = 1;
const EXTENSION = 2;
const SIZE_LF = 3;
const DATA = 4;
const DATA_END = 5;
const DATA_LF = 6;
const TRAILER_START = 7;
const TRAILER = 8;
const TRAILER_LF = 9;
const LAST_LF = 10;

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const SEMICOLON = 59;

/** What a chunked body without trailers ends with. */
const LAST_CHUNK = new TextEncoder().encode("\r\n0\r\n\r\n");
/** Knuth–Morris–Pratt: how much of LAST_CHUNK still matches when the byte after n of it does not. */
const LAST_CHUNK_BORDER: readonly number[] = [0, 0, 0, 0, 1, 2, 1, 2];
const CHUNK_BYTES_MAX = Number.MAX_SAFE_INTEGER / 16;

/**
 * Follows one body through bytes and through holes whose size is known. After `start`, feed until
 * `done` or `malformed`.
 */
export class Body {
  kind: number = BODY_NONE;
  done = true;
  malformed = false;
  /** Payload bytes so far, without the transfer coding. */
  payloadBytes = 0;
  /** Follows the payload, where it is one of messages; until the next `start`. */
  messages: MessageCounter | undefined = undefined;
  #remaining = 0;
  #state = SIZE_FIRST;
  /** Bytes of chunk extensions and trailers since the last data. */
  #overhead = 0;
  #overheadMax = 0;
  /** Bytes of LAST_CHUNK matched at the end of what was fed, for chunked bodies of unknown end. */
  #matched = 0;
  #chunked = false;

  /** `overheadMax` bounds chunk extensions and trailers, bytes. */
  start(kind: number, length: number, overheadMax: number): void {
    this.kind = kind;
    this.done = kind === BODY_NONE || (kind === BODY_LENGTH && length === 0);
    this.malformed = false;
    this.payloadBytes = 0;
    this.messages = undefined;
    this.#remaining = kind === BODY_LENGTH ? length : 0;
    this.#state = SIZE_FIRST;
    this.#overhead = 0;
    this.#overheadMax = overheadMax;
    this.#matched = 0;
    this.#chunked = kind === BODY_CHUNKED;
  }

  /** The end can no longer be computed. */
  lose(): void {
    this.kind = BODY_UNKNOWN;
    this.#matched = 0;
  }

  /**
   * For a chunked body of unknown end: what was fed last, at the end of a call, looks like its end.
   */
  get looksEnded(): boolean {
    return this.kind === BODY_UNKNOWN && this.#matched === LAST_CHUNK.length;
  }

  /** Takes bytes up to the end of the body. Returns the offset after the last one taken. */
  bytes(bytes: Uint8Array, start: number, end: number): number {
    if (this.done) return start;
    if (this.kind === BODY_CHUNKED) return this.#chunks(bytes, start, end);
    if (this.kind === BODY_UNKNOWN) {
      if (this.#chunked) this.#match(bytes, start, end);
      return end;
    }
    const next = end - this.#skip(end - start);
    this.messages?.bytes(bytes, start, next);
    return next;
  }

  /**
   * Takes `count` unseen bytes. Returns how many are left after the body's end, or all of them
   * when that cannot be known (`done` stays false).
   */
  hole(count: number): number {
    const left = this.#skip(count);
    this.messages?.hole(count - left);
    return left;
  }

  #skip(count: number): number {
    if (this.kind === BODY_CHUNKED) {
      if (this.#state !== DATA || count > this.#remaining) return count;
      this.payloadBytes += count;
      this.#takeData(count);
      return 0;
    }
    if (this.kind !== BODY_LENGTH) {
      this.payloadBytes += count;
      this.#matched = 0;
      return 0;
    }
    const taken = Math.min(count, this.#remaining);
    this.#remaining -= taken;
    this.payloadBytes += taken;
    this.done = this.#remaining === 0;
    return count - taken;
  }

  #takeData(count: number): void {
    this.#remaining -= count;
    if (this.#remaining === 0) this.#state = DATA_END;
  }

  #chunks(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && !this.done && !this.malformed) {
      if (this.#state === DATA) {
        const count = Math.min(end - at, this.#remaining);
        this.payloadBytes += count;
        this.#takeData(count);
        this.messages?.bytes(bytes, at, at + count);
        at += count;
      } else {
        this.#framing(bytes[at] ?? 0);
        at++;
      }
    }
    return at;
  }

  #framing(byte: number): void {
    switch (this.#state) {
      case SIZE_FIRST:
      case SIZE:
        this.#size(byte);
        break;
      case EXTENSION:
        if (byte === LF) this.#sizeEnd();
        else if (byte === CR) this.#state = SIZE_LF;
        else this.#count(byte);
        break;
      case SIZE_LF:
        if (byte === LF) this.#sizeEnd();
        else this.malformed = true;
        break;
      case DATA_END:
        if (byte === CR) this.#state = DATA_LF;
        else this.#expectLf(byte, SIZE_FIRST);
        break;
      case DATA_LF:
        this.#expectLf(byte, SIZE_FIRST);
        break;
      case TRAILER_START:
        if (byte === LF) this.done = true;
        else if (byte === CR) this.#state = LAST_LF;
        else {
          this.#state = TRAILER;
          this.#count(byte);
        }
        break;
      case TRAILER:
        if (byte === LF) this.#state = TRAILER_START;
        else if (byte === CR) this.#state = TRAILER_LF;
        else this.#count(byte);
        break;
      case TRAILER_LF:
        this.#expectLf(byte, TRAILER_START);
        break;
      default:
        if (byte === LF) this.done = true;
        else this.malformed = true;
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (this.#remaining > CHUNK_BYTES_MAX) this.malformed = true;
      this.#remaining = this.#remaining * 16 + digit;
      // Leading zeros cost bytes too.
      this.#count(byte);
      this.#state = SIZE;
    } else if (this.#state === SIZE_FIRST) this.malformed = true;
    else if (byte === LF) this.#sizeEnd();
    else if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON || byte === SPACE || byte === TAB) this.#state = EXTENSION;
    else this.malformed = true;
  }

  #sizeEnd(): void {
    if (this.#remaining === 0) {
      this.#state = TRAILER_START;
      return;
    }
    this.#state = DATA;
    this.#overhead = 0;
  }

  #expectLf(byte: number, next: number): void {
    if (byte === LF) this.#state = next;
    else this.malformed = true;
  }

  #count(byte: number): void {
    this.#overhead++;
    if (byte === 0 || this.#overhead > this.#overheadMax) this.malformed = true;
  }

  /** Follows LAST_CHUNK over the last bytes. */
  #match(bytes: Uint8Array, start: number, end: number): void {
    const from = Math.max(start, end - LAST_CHUNK.length);
    if (from > start) this.#matched = 0;
    let matched = this.#matched;
    for (let at = from; at < end; at++) {
      const byte = bytes[at];
      while (matched > 0 && byte !== LAST_CHUNK[matched]) matched = LAST_CHUNK_BORDER[matched] ?? 0;
      if (byte === LAST_CHUNK[matched]) matched++;
    }
    this.#matched = matched;
  }
}
