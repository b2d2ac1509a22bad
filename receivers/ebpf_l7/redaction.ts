// SPDX-License-Identifier: Apache-2.0
import { isContainer, isKnown } from "../../src/protocols/redis/commands.ts";

/**
 * Payload without what it says: bytes of values become `x`, of the same length, so that a parser
 * finds the same messages. It knows some protocols and drops the payload of all others.
 */

/** Masks the captured bytes of one direction, in place, record after record. */
export interface Masker {
  mask(bytes: Uint8Array, surroundings: Surroundings): void;
  /** How many of the last bytes of a call stay, of eight that were kept beyond what was captured. */
  tailKept?(tail: Uint8Array): number;
}

/** What is around the captured bytes of a record. */
export interface Surroundings {
  /** Bytes before these were not seen. */
  readonly isGap: boolean;
  /** So many bytes after these were not captured. */
  readonly unseen: number;
}

const CR = 13;
const LF = 10;
const SPACE = 32;
const QUESTION = 63;
const X = 120;

/** Headers that decide where a message ends, who is meant and whose trace it is in. */
const KEPT_HEADERS: ReadonlySet<string> = new Set([
  ...["content-length", "transfer-encoding", "connection", "upgrade", "host", "traceparent"],
  ...["content-type", "user-agent", "te", "trailer", "expect", "server", "x-amz-target"],
]);
const FIRST_LINE = /^(?:[A-Z]{1,20} \S|HTTP\/1\.[01] )/;
const CHUNK_SIZE = /^[0-9a-fA-F]{1,8}\r?$/;

/** HTTP/1: heads are kept but for queries and the values of other headers; bodies are masked. */
export class Http1Masker implements Masker {
  readonly #kept: ReadonlySet<string>;
  #inHead = false;
  #isChunked = false;
  /** Of a body whose length the head told, and what the head that is being read tells. */
  #bodyLeft = 0;
  #bodyLength = 0;

  /** `recorded`: lower-case names of headers that become attributes anyway. */
  constructor(recorded: readonly string[]) {
    this.#kept = new Set([...KEPT_HEADERS, ...recorded]);
  }

  mask(bytes: Uint8Array, { isGap, unseen }: Surroundings): void {
    if (isGap) this.#forget();
    // A head starts a call, also where a body was promised that does not come (HEAD).
    if (FIRST_LINE.test(Buffer.from(bytes.subarray(0, 24)).toString("latin1"))) this.#bodyLeft = 0;
    for (let start = 0; start < bytes.length; ) {
      const body = Math.min(this.#bodyLeft, bytes.length - start);
      if (body > 0) {
        maskRange(bytes, start, start + body);
        this.#bodyLeft -= body;
        start += body;
        continue;
      }
      const newline = bytes.indexOf(LF, start);
      const end = newline < 0 ? bytes.length : newline + 1;
      this.#line(bytes.subarray(start, end), newline >= 0);
      start = end;
    }
    this.#bodyLeft = Math.max(0, this.#bodyLeft - unseen);
  }

  /** The end of a chunked body; of anything else the tail says nothing. */
  tailKept(tail: Uint8Array): number {
    return Buffer.from(tail).toString("latin1").endsWith("\r\n0\r\n\r\n") ? 7 : 0;
  }

  #forget(): void {
    this.#inHead = false;
    this.#isChunked = false;
    this.#bodyLeft = 0;
    this.#bodyLength = 0;
  }

  #line(line: Uint8Array, isComplete: boolean): void {
    const text = Buffer.from(line).toString("latin1");
    if (this.#inHead) {
      this.#header(line, text);
      return;
    }
    const isFirst = FIRST_LINE.test(text) && / ?HTTP\/1\.[01]/.test(text);
    if (!isFirst) {
      this.#body(line, text);
      return;
    }
    this.#forget();
    this.#inHead = isComplete;
    maskQuery(line, text);
  }

  #header(line: Uint8Array, text: string): void {
    if (/^\r?\n$/.test(text)) {
      this.#inHead = false;
      this.#bodyLeft = this.#isChunked ? 0 : this.#bodyLength;
      return;
    }
    const colon = text.indexOf(":");
    const name = text.slice(0, Math.max(0, colon)).toLowerCase();
    if (name === "transfer-encoding" && /chunked/i.test(text)) this.#isChunked = true;
    const length = Number.parseInt(text.slice(colon + 1), 10);
    if (name === "content-length") this.#bodyLength = Number.isNaN(length) ? 0 : length;
    // Where the name is not seen, as after a cut, nothing is kept.
    if (!this.#kept.has(name)) maskRange(line, colon + 1, line.length);
  }

  #body(line: Uint8Array, text: string): void {
    if (this.#isChunked && CHUNK_SIZE.test(text.trimEnd())) return;
    maskRange(line, 0, line.length);
  }
}

/** The query of a request's target. */
function maskQuery(line: Uint8Array, text: string): void {
  const question = line.indexOf(QUESTION);
  if (text.startsWith("HTTP/") || question < 0) return;
  const end = line.lastIndexOf(SPACE);
  maskRange(line, question + 1, end > question ? end : line.length);
}

/** Line ends stay: framing looks for them. */
function maskRange(bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    if (bytes[at] !== CR && bytes[at] !== LF) bytes[at] = X;
  }
}

/** What a server pushes begins with one of these. */
const PUSHES: ReadonlySet<string> = new Set([
  ...["MESSAGE", "PMESSAGE", "SMESSAGE", "INVALIDATE", "SUBSCRIBE", "UNSUBSCRIBE"],
  ...["PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"],
]);
const SIMPLE_REPLIES = /^(?:\+(?:OK|PONG|QUEUED)|_)\r?\n$/;
const LENGTHS = /^[*$%~>=!|][-0-9?]{1,20}\r?\n?$/;
const WORD_BYTES_MAX = 24;

/** RESP: lengths, command names and kinds of errors are kept, all strings and numbers masked. */
export class RedisMasker implements Masker {
  /** Bytes of a string that are still to come, with its line end. */
  #stringLeft = 0;
  /** Strings since the last array began, and whether the second may stay. */
  #index = -1;
  #keepsSecond = false;

  mask(bytes: Uint8Array, { isGap, unseen }: Surroundings): void {
    if (isGap) this.#stringLeft = 0;
    for (let start = 0; start < bytes.length; ) {
      if (this.#stringLeft > 0) {
        const length = Math.min(this.#stringLeft, bytes.length - start);
        this.#string(bytes.subarray(start, start + length), length === this.#stringLeft);
        this.#stringLeft -= length;
        start += length;
        continue;
      }
      const newline = bytes.indexOf(LF, start);
      const end = newline < 0 ? bytes.length : newline + 1;
      this.#line(bytes.subarray(start, end));
      start = end;
    }
    this.#stringLeft = Math.max(0, this.#stringLeft - unseen);
  }

  #line(line: Uint8Array): void {
    const text = Buffer.from(line).toString("latin1");
    if (LENGTHS.test(text)) {
      const length = Number.parseInt(text.slice(1), 10) || 0;
      const isString = text.startsWith("$") || text.startsWith("=") || text.startsWith("!");
      if (!isString) this.#index = -1;
      else if (length >= 0) this.#stringLeft = length + 2;
    } else if (text.startsWith("-")) maskRange(line, text.indexOf(" ") + 1 || 1, line.length);
    else if (/^[:,(#]/.test(text)) maskDigits(line);
    else if (!SIMPLE_REPLIES.test(text)) maskRange(line, keptOfLine(text), line.length);
  }

  /** `isWhole`: the string ends here; one that began in an earlier record is never kept. */
  #string(bytes: Uint8Array, isWhole: boolean): void {
    this.#index++;
    const text = Buffer.from(bytes.subarray(0, -2)).toString("latin1").toUpperCase();
    const isWord = isWhole && bytes.length <= WORD_BYTES_MAX && /^[A-Z0-9._]+$/.test(text);
    const isName = this.#index === 0 && (isKnown(text) || PUSHES.has(text));
    const isSecond = this.#index === 1 && this.#keepsSecond;
    // A database's or the protocol's number, or the rest of a name of two words.
    const isKept = isWord && (isName || isSecond);
    this.#keepsSecond =
      isKept && isName && (text === "SELECT" || text === "HELLO" || isContainer(text));
    if (!isKept) maskRange(bytes, 0, bytes.length);
  }
}

/** The type of a simple reply, or the name of an inline command. */
function keptOfLine(text: string): number {
  if (text.startsWith("+")) return 1;
  const [word = ""] = text.trimEnd().split(" ", 1);
  return isKnown(word.toUpperCase()) ? word.length + 1 : 0;
}

function maskDigits(line: Uint8Array): void {
  for (let at = 1; at < line.length; at++) {
    const byte = line[at] ?? 0;
    if (byte >= 0x30 && byte <= 0x39) line[at] = 0x31;
  }
}
