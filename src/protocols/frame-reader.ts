// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, Direction } from "../model/protocol.ts";
import type { PooledExchange } from "./pooled-exchange.ts";

/** Results of `Framing.frameLength`. */
export const NEED_MORE = 0;
export const NOT_A_FRAME = -1;

/** How a protocol's messages are delimited. */
export interface Framing {
  /** `FrameHandler.started` is called once so many bytes of a frame are there, or all of it. */
  readonly headerBytes: number;
  /**
   * Bytes of the frame that starts at `start`, its header included: it may go on past `end`.
   * `NEED_MORE` when that cannot be told from `end - start` bytes, `NOT_A_FRAME` when no frame
   * starts so. The result depends on the frame's bytes only, never on how many more there are.
   */
  frameLength(bytes: Uint8Array, start: number, end: number, direction: Direction): number;
}

/** A frame, as a cursor: nothing of it is valid after the call. */
export interface Frame<Details> {
  readonly direction: Direction;
  /** Of the first byte in the direction's stream. */
  readonly position: number;
  /** Bytes of the whole frame; `bytes[start … end)` is its captured beginning. */
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Of the first byte, and of the last one that is known. */
  readonly startNs: number;
  readonly endNs: number;
  /** Of the first byte. */
  readonly pid: number;
  readonly tid: number;
  /** What began with this frame. */
  exchange: PooledExchange<Details> | undefined;
}

export interface FrameHandler<Details> {
  started(frame: Frame<Details>): void;
  /** False: what follows is not read. */
  ended(frame: Frame<Details>): boolean;
}

const FIRST_BUFFER_BYTES = 256;

class FrameCursor<Details> implements Frame<Details> {
  direction: Direction;
  position = 0;
  length = 0;
  bytes: Uint8Array;
  start = 0;
  end = 0;
  startNs = 0;
  endNs = 0;
  pid = 0;
  tid = 0;
  exchange: PooledExchange<Details> | undefined = undefined;

  constructor(direction: Direction) {
    this.direction = direction;
    this.bytes = NO_BYTES;
  }
}

const NO_BYTES = new Uint8Array(0);

export const READ = 0;
/** No frame starts where one should. */
export const BROKEN = 1;
/** A frame's beginning is longer than what is kept. */
export const TOO_LONG = 2;
/** The handler wants no more. */
export const STOPPED = 3;
/** Where the next frame starts is in bytes that nobody saw. */
export const ADRIFT = 4;
export type ReadOutcome =
  | typeof READ
  | typeof BROKEN
  | typeof TOO_LONG
  | typeof STOPPED
  | typeof ADRIFT;

/** The frames of one direction, however the bytes are cut into records. */
export class FrameReader<Details> {
  readonly #framing: Framing;
  readonly #handler: FrameHandler<Details>;
  readonly #prefixBytesMax: number;
  readonly frame: FrameCursor<Details>;
  /** Bytes of the frame under way that went by, seen or not; 0 at a boundary. */
  #passed = 0;
  #started = false;
  /** A byte of the frame was not seen, or its beginning is as long as what is kept. */
  #isPrefixDone = false;
  #buffer: Uint8Array | undefined = undefined;

  constructor(
    framing: Framing,
    handler: FrameHandler<Details>,
    shape: { readonly direction: Direction; readonly prefixBytesMax: number },
  ) {
    this.#framing = framing;
    this.#handler = handler;
    this.#prefixBytesMax = shape.prefixBytesMax;
    this.frame = new FrameCursor(shape.direction);
  }

  get atBoundary(): boolean {
    return this.#passed === 0;
  }

  /** Bytes of the frame under way that are still to come; 0 when that is not known. */
  get left(): number {
    return this.#passed === 0 ? 0 : Math.max(0, this.frame.length - this.#passed);
  }

  /** Forgets the frame under way; the next byte starts one. */
  reset(): void {
    const { frame } = this;
    this.#passed = 0;
    this.#started = false;
    this.#isPrefixDone = false;
    this.#buffer = undefined;
    frame.bytes = NO_BYTES;
    frame.length = 0;
    frame.start = 0;
    frame.end = 0;
    frame.exchange = undefined;
  }

  /** The captured bytes of a record. */
  read(record: DataRecord): ReadOutcome {
    const end = record.start + record.captured;
    let at = record.start;
    while (at < end) {
      const outcome = this.#passed === 0 ? this.#fresh(record, at) : this.#more(record, at);
      if (outcome < 0) return this.#refused;
      at = outcome;
    }
    return READ;
  }

  #refused: ReadOutcome = READ;

  #refuse(outcome: ReadOutcome): number {
    this.#refused = outcome;
    return -1;
  }

  /** At a boundary: a frame that is whole in the record is not copied. */
  #fresh(record: DataRecord, at: number): number {
    const { frame } = this;
    const end = record.start + record.captured;
    const length = this.#framing.frameLength(record.bytes, at, end, frame.direction);
    if (length < 0) return this.#refuse(BROKEN);
    frame.position = record.position + at - record.start;
    frame.startNs = record.timeNs;
    frame.endNs = record.timeNs;
    frame.pid = record.pid;
    frame.tid = record.tid;
    frame.length = length;
    if (length === NEED_MORE || length > end - at) return this.#keep(record, at);
    frame.bytes = record.bytes;
    frame.start = at;
    frame.end = Math.min(at + length, at + this.#prefixBytesMax);
    this.#handler.started(frame);
    const next = at + length;
    return this.#end() ? next : this.#refuse(STOPPED);
  }

  /** In a frame of which a beginning is kept. */
  #more(record: DataRecord, at: number): number {
    const { frame } = this;
    const available = record.start + record.captured - at;
    frame.endNs = record.timeNs;
    if (frame.length === NEED_MORE) return this.#keep(record, at);
    const taken = Math.min(available, frame.length - this.#passed);
    if (!this.#isPrefixDone) this.#append(record.bytes, at, at + taken);
    this.#passed += taken;
    this.#start();
    if (this.#passed < frame.length) return at + taken;
    return this.#end() ? at + taken : this.#refuse(STOPPED);
  }

  /** Keeps what is there of a frame whose length is unknown, or whose rest is still to come. */
  #keep(record: DataRecord, at: number): number {
    const { frame } = this;
    const end = record.start + record.captured;
    const before = this.#passed;
    this.#append(record.bytes, at, end);
    if (frame.length === NEED_MORE) {
      const length = this.#framing.frameLength(frame.bytes, 0, frame.end, frame.direction);
      if (length < 0) return this.#refuse(BROKEN);
      frame.length = length;
    }
    if (frame.length === NEED_MORE) {
      if (this.#isPrefixDone) return this.#refuse(TOO_LONG);
      this.#passed = before + end - at;
      return end;
    }
    const taken = Math.min(end - at, frame.length - before);
    this.#passed = before + taken;
    // Bytes of the next frame may have been taken along.
    if (frame.end >= frame.length) {
      frame.end = frame.length;
      this.#isPrefixDone = frame.end >= this.#prefixBytesMax;
    }
    this.#start();
    if (this.#passed < frame.length) return end;
    return this.#end() ? at + taken : this.#refuse(STOPPED);
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const { frame } = this;
    const count = Math.min(end - start, this.#prefixBytesMax - frame.end);
    let buffer = this.#buffer ?? NO_BYTES;
    if (frame.end + count > buffer.length) {
      const wanted = Math.max(FIRST_BUFFER_BYTES, 2 * buffer.length, frame.end + count);
      const larger = new Uint8Array(Math.min(wanted, this.#prefixBytesMax));
      larger.set(buffer.subarray(0, frame.end));
      buffer = larger;
      this.#buffer = larger;
    }
    buffer.set(bytes.subarray(start, start + count), frame.end);
    frame.bytes = buffer;
    frame.end += count;
    if (frame.end >= this.#prefixBytesMax) this.#isPrefixDone = true;
  }

  /** Tells of a frame once enough of it is there. */
  #start(): void {
    const { frame } = this;
    const isReady =
      frame.end >= this.#framing.headerBytes || frame.end >= frame.length || this.#isPrefixDone;
    if (this.#started || !isReady) return;
    this.#started = true;
    this.#handler.started(frame);
  }

  #end(): boolean {
    const goesOn = this.#handler.ended(this.frame);
    this.reset();
    return goesOn;
  }

  /**
   * `count` bytes that nobody saw, up to `timeNs`. A frame whose length is known is passed by
   * arithmetic; `ADRIFT` when the hole goes on past its end.
   */
  hole(count: number, timeNs: number): ReadOutcome {
    const { frame } = this;
    if (this.#passed === 0 || frame.length === NEED_MORE) return ADRIFT;
    this.#isPrefixDone = true;
    const left = frame.length - this.#passed;
    if (count <= left) frame.endNs = timeNs;
    this.#passed += Math.min(count, left);
    this.#start();
    if (this.#passed < frame.length) return READ;
    if (!this.#end()) return STOPPED;
    return count > left ? ADRIFT : READ;
  }
}
