// SPDX-License-Identifier: Apache-2.0
import type { DataRecord } from "../../model/protocol.ts";
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  GOAWAY,
  HEADER_BYTES,
  HEADERS,
  isFrame,
  lengthAt,
  PADDED,
  PREFACE,
  PRIORITY_FLAG,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  streamAt,
} from "./frames.ts";
import type { HpackDecoder } from "./hpack.ts";
import type { Stream } from "./streams.ts";

/** Takes the frames of one direction. `reader` says which frame it is. */
export interface FrameHandler {
  /** A frame's header was read. */
  frame(reader: FrameReader): void;
  /** Part of a DATA frame's data, without padding. */
  payload(reader: FrameReader, bytes: Uint8Array, start: number, end: number): void;
  /** The same, not captured; NaN when padding cannot be told from data. */
  payloadHole(reader: FrameReader, count: number): void;
  /** A whole header block. `cut`: only its beginning was captured. */
  block(reader: FrameReader, bytes: Uint8Array, start: number, end: number, cut: boolean): void;
  /** The end of a frame, with its CONTINUATION; for RST_STREAM and GOAWAY `reader.word` is the error code. */
  frameEnd(reader: FrameReader): void;
  /** The bytes are no frames of HTTP/2. */
  malformed(reader: FrameReader): void;
}

const SMALL_BYTES = 8;
/** More than there can be: some of them were not captured. */
const SMALL_CUT = SMALL_BYTES + 1;

/** Cuts the bytes of one direction into frames, as long as every frame's header is seen. */
export class FrameReader {
  readonly hpack: HpackDecoder;
  readonly #handler: FrameHandler;
  readonly #blockBytesMax: number;
  /** The next byte is known to be in a frame or at its start. */
  synchronised = false;
  /** Stream position after the last record, -1 before the first. */
  expected = -1;
  timeNs = 0;
  tid = 0;

  /** The frame being read; meaningful from `frame` to `frameEnd`. */
  type = 0;
  flags = 0;
  streamId = 0;
  length = 0;
  /** Of the frame's first byte: stream position, time and thread. */
  position = 0;
  startNs = 0;
  startTid = 0;
  /** First and second number of a RST_STREAM or GOAWAY frame: its error code is the last. */
  lastStreamId = 0;
  errorCode = 0;
  /** The handler's. */
  stream: Stream | undefined = undefined;

  #inFrame = false;
  #rest = 0;
  /** Padding at the end of a DATA frame; -1 before its length was read. */
  #padding = 0;
  #headerBytes = 0;
  #prefaceBytes = 0;
  /** The preface was read: SETTINGS must follow (RFC 9113, section 3.4). */
  #isAfterPreface = false;
  /** Made when a header, or a small frame, has to be put together. */
  #small: Uint8Array = NOTHING;
  #smallBytes = 0;
  /** The part of a header block that came in earlier frames or records. */
  #block: Uint8Array = NOTHING;
  #blockBytes = 0;
  #blockCut = false;
  #fragmentStart = 0;
  /** CONTINUATION must follow, on this stream; 0 when none must. */
  #continued = 0;
  #blockType = 0;
  #blockFlags = 0;
  /** Of the HEADERS frame whose block goes on. */
  #blockPosition = 0;
  #blockStartNs = 0;
  #blockStartTid = 0;
  /** Position of index 0 of the bytes being read. */
  #base = 0;

  constructor(hpack: HpackDecoder, handler: FrameHandler, blockBytesMax: number) {
    this.hpack = hpack;
    this.#handler = handler;
    this.#blockBytesMax = blockBytesMax;
  }

  /** From here on the bytes are frames, after the preface if it is there. */
  synchronise(): void {
    this.lose();
    this.synchronised = true;
  }

  /** The frames' boundaries are lost, and with them the state of header compression. */
  lose(): void {
    this.synchronised = false;
    this.#inFrame = false;
    this.#headerBytes = 0;
    this.#prefaceBytes = 0;
    this.#isAfterPreface = false;
    this.#continued = 0;
    this.stream = undefined;
    this.#dropBlock();
  }

  #dropBlock(): void {
    this.#block = NOTHING;
    this.#blockBytes = 0;
    this.#blockCut = false;
  }

  /** Reads what was captured of a record that follows the last one. Returns the bytes after it. */
  feedRecord(record: DataRecord): number {
    const captured = Math.min(record.captured, record.length);
    this.#base = record.position - record.start;
    this.timeNs = record.timeNs;
    this.tid = record.tid;
    this.#feed(record.bytes, record.start, record.start + captured);
    return record.length - captured;
  }

  #feed(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && this.synchronised) {
      if (this.#inFrame) at = this.#payload(bytes, at, end);
      else at = this.#header(bytes, at, end);
      if (this.#inFrame && this.#rest === 0) this.#endFrame();
    }
  }

  #header(bytes: Uint8Array, start: number, end: number): number {
    if (this.#headerBytes === 0) {
      const first = bytes[start];
      if (this.#prefaceBytes > 0 || first === PREFACE[0]) return this.#preface(bytes, start, end);
      this.position = this.#base + start;
      this.startNs = this.timeNs;
      this.startTid = this.tid;
      if (end - start >= HEADER_BYTES) {
        this.#startFrame(bytes, start);
        return start + HEADER_BYTES;
      }
    }
    if (this.#small === NOTHING) this.#small = new Uint8Array(HEADER_BYTES);
    let at = start;
    while (at < end && this.#headerBytes < HEADER_BYTES) {
      this.#small[this.#headerBytes++] = bytes[at++] ?? 0;
    }
    if (this.#headerBytes === HEADER_BYTES) {
      this.#headerBytes = 0;
      const header = this.#small;
      this.#small = NOTHING;
      this.#startFrame(header, 0);
    }
    return at;
  }

  /** No frame that is read here begins like the preface: it would be longer than any. */
  #preface(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && this.#prefaceBytes < PREFACE.length) {
      if (bytes[at] !== PREFACE[this.#prefaceBytes]) {
        this.#handler.malformed(this);
        return end;
      }
      this.#prefaceBytes++;
      at++;
    }
    if (this.#prefaceBytes === PREFACE.length) {
      this.#prefaceBytes = 0;
      this.#isAfterPreface = true;
    }
    return at;
  }

  #startFrame(bytes: Uint8Array, at: number): void {
    this.length = lengthAt(bytes, at);
    this.type = bytes[at + 3] ?? 0;
    this.flags = bytes[at + 4] ?? 0;
    this.streamId = streamAt(bytes, at);
    const isContinuation = this.type === CONTINUATION;
    const follows = isContinuation ? this.streamId === this.#continued : this.#continued === 0;
    const isExpected = follows && (!this.#isAfterPreface || this.type === SETTINGS);
    this.#isAfterPreface = false;
    if (!isFrame(this.type, this.length, this.streamId) || !isExpected) {
      this.#handler.malformed(this);
      return;
    }
    this.#inFrame = true;
    this.#rest = this.length;
    this.#smallBytes = 0;
    this.#padding = this.type === DATA && (this.flags & PADDED) !== 0 ? -1 : 0;
    this.#fragmentStart = this.#blockBytes;
    if (isContinuation) {
      this.position = this.#blockPosition;
      this.startNs = this.#blockStartNs;
      this.startTid = this.#blockStartTid;
    } else this.#handler.frame(this);
  }

  #payload(bytes: Uint8Array, start: number, end: number): number {
    const take = Math.min(this.#rest, end - start);
    const next = start + take;
    const whole = take === this.length;
    const type = this.type;
    if (type === DATA) this.#data(bytes, start, next);
    else if (type === HEADERS && whole && (this.flags & END_HEADERS) !== 0) {
      this.#wholeHeaders(bytes, start, next);
    } else if (type === HEADERS || type === CONTINUATION || type === PUSH_PROMISE) {
      this.#keepBlock(bytes, start, next);
    } else if (type === RST_STREAM || type === GOAWAY) {
      if (this.#small === NOTHING) this.#small = new Uint8Array(HEADER_BYTES);
      for (let at = start; at < next && this.#smallBytes < SMALL_BYTES; at++) {
        this.#small[this.#smallBytes++] = bytes[at] ?? 0;
      }
    }
    this.#rest -= take;
    return next;
  }

  #data(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    if (this.#padding < 0) {
      this.#padding = bytes[at++] ?? 0;
      if (this.#padding >= this.length) this.#padding = this.length - 1;
    }
    const left = this.#rest - (at - start) - this.#padding;
    const next = Math.min(end, at + Math.max(0, left));
    if (next > at) this.#handler.payload(this, bytes, at, next);
  }

  /** The usual case: nothing is copied. */
  #wholeHeaders(bytes: Uint8Array, start: number, end: number): void {
    const padded = (this.flags & PADDED) !== 0;
    const from = start + (padded ? 1 : 0) + ((this.flags & PRIORITY_FLAG) !== 0 ? 5 : 0);
    const to = end - (padded ? (bytes[start] ?? 0) : 0);
    if (to < from) this.#handler.malformed(this);
    else this.#handler.block(this, bytes, from, to, false);
  }

  #keepBlock(bytes: Uint8Array, start: number, end: number): void {
    if (this.#blockCut) return;
    const room = this.#blockBytesMax - this.#blockBytes;
    const length = Math.min(end - start, room);
    if (length < end - start) this.#blockCut = true;
    if (this.#blockBytes + length > this.#block.length) {
      const wanted = Math.max(this.length, 2 * this.#block.length, this.#blockBytes + length);
      const grown = new Uint8Array(Math.min(wanted, this.#blockBytesMax));
      grown.set(this.#block.subarray(0, this.#blockBytes));
      this.#block = grown;
    }
    this.#block.set(bytes.subarray(start, start + length), this.#blockBytes);
    this.#blockBytes += length;
  }

  #endFrame(): void {
    const type = this.type;
    if (type === HEADERS || type === CONTINUATION || type === PUSH_PROMISE) this.#endFragment();
    else if (type === RST_STREAM || type === GOAWAY) this.#readSmall();
    if (!this.synchronised) return;
    this.#inFrame = false;
    if (this.#continued !== 0) return;
    this.#handler.frameEnd(this);
    this.stream = undefined;
  }

  #endFragment(): void {
    if (this.type !== CONTINUATION) {
      this.#blockFlags = this.flags;
      this.#blockType = this.type;
    }
    const kept = this.#blockBytes > 0 || this.#blockCut;
    const isWhole = this.type === HEADERS && !kept && (this.flags & END_HEADERS) !== 0;
    if (isWhole) {
      // Already handed over, unless there was nothing in it.
      if (this.length === 0) this.#handler.block(this, NOTHING, 0, 0, false);
      return;
    }
    if (this.type !== CONTINUATION && !this.#strip()) {
      this.#handler.malformed(this);
      return;
    }
    if ((this.flags & END_HEADERS) === 0) {
      this.#blockPosition = this.position;
      this.#blockStartNs = this.startNs;
      this.#blockStartTid = this.startTid;
      this.#continued = this.streamId;
      return;
    }
    const block = this.#block;
    const length = this.#blockBytes;
    const cut = this.#blockCut;
    this.#continued = 0;
    this.#dropBlock();
    // From here on it is one frame, whatever it came in.
    this.type = this.#blockType;
    this.flags = this.#blockFlags;
    this.#handler.block(this, block, 0, length, cut);
  }

  /** Removes padding, priority and promised stream from the fragment kept last. */
  #strip(): boolean {
    const padded = (this.flags & PADDED) !== 0;
    let skip = padded ? 1 : 0;
    if (this.type === PUSH_PROMISE) skip += 4;
    else if ((this.flags & PRIORITY_FLAG) !== 0) skip += 5;
    const start = this.#fragmentStart;
    const padding = padded && !this.#blockCut ? (this.#block[start] ?? 0) : 0;
    const length = this.#blockBytes - start - skip - padding;
    if (length < 0) {
      this.#blockBytes = start;
      return this.#blockCut;
    }
    this.#block.copyWithin(start, start + skip, start + skip + length);
    this.#blockBytes = start + length;
    return true;
  }

  #dataHole(count: number): void {
    if (this.#padding < 0) {
      this.#padding = 0;
      this.#handler.payloadHole(this, Number.NaN);
      return;
    }
    const left = Math.min(count, this.#rest - this.#padding);
    if (left > 0) this.#handler.payloadHole(this, left);
  }

  #readSmall(): void {
    const needed = this.type === RST_STREAM ? 4 : SMALL_BYTES;
    if (this.#smallBytes < needed || this.#smallBytes === SMALL_CUT) {
      this.errorCode = -1;
      this.lastStreamId = 0x7fffffff;
      return;
    }
    const view = new DataView(this.#small.buffer);
    const first = view.getUint32(0);
    this.lastStreamId = first & 0x7fffffff;
    this.errorCode = this.type === RST_STREAM ? first : view.getUint32(4);
  }

  /** `count` bytes that were not captured. False when frame headers are among them. */
  hole(count: number): boolean {
    let left = count;
    while (left > 0 && this.synchronised && this.#inFrame) {
      const take = Math.min(left, this.#rest);
      const type = this.type;
      if (type === DATA) this.#dataHole(take);
      else if (type === HEADERS || type === CONTINUATION || type === PUSH_PROMISE) {
        this.#blockCut = true;
      } else if (this.#smallBytes < SMALL_BYTES) this.#smallBytes = SMALL_CUT;
      this.#rest -= take;
      left -= take;
      if (this.#rest === 0) this.#endFrame();
    }
    return left === 0 && this.synchronised;
  }
}

const NOTHING = new Uint8Array(0);
