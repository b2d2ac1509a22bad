// SPDX-License-Identifier: Apache-2.0

/** What a reader tells of one direction; offsets are into the bytes that it was fed. */
export interface LineHandler {
  started(offset: number): void;
  /**
   * A line without its end, or as much of the beginning as is kept. Returns the length of the value
   * that follows it, -1 for none, `NO_LINE` when this is no line of the protocol.
   */
  line(bytes: Uint8Array, start: number, end: number): number;
  /** The line's value is over, or it has none. */
  ended(): void;
}

export const NO_VALUE = -1;
export const NO_LINE = -2;

const LF = 10;
const CR = 13;
/** A `get` of many keys is long. */
const LINE_BYTES_MAX = 256 * 1024;
const KEPT_BYTES = 1024;
const NOTHING = new Uint8Array(0);

/** Lines, of which some have a value and another line end behind them. */
export class LineReader {
  readonly #handler: LineHandler;
  #started = false;
  #kept: Uint8Array = NOTHING;
  #keptLength = 0;
  #lineBytes = 0;
  /** Of the value, with its line end; 0 outside of one. */
  #left = 0;

  constructor(handler: LineHandler) {
    this.#handler = handler;
  }

  get atBoundary(): boolean {
    return !this.#started;
  }

  reset(): void {
    this.#started = false;
    this.#keptLength = 0;
    this.#kept = NOTHING;
    this.#lineBytes = 0;
    this.#left = 0;
  }

  /** Reads up to `end` or the end of a line or value: returns the offset after it, -1 if malformed. */
  read(bytes: Uint8Array, start: number, end: number): number {
    if (this.#left > 0) return this.#value(bytes, start, end);
    if (!this.#started) {
      this.#started = true;
      this.#handler.started(start);
    }
    let stop = start;
    while (stop < end && bytes[stop] !== LF) stop++;
    const isWhole = this.#lineBytes === 0 && stop < end;
    this.#lineBytes += stop - start;
    if (this.#lineBytes > LINE_BYTES_MAX) return -1;
    if (isWhole) return this.#line(bytes, start, stop) ? stop + 1 : -1;
    this.#keep(bytes, start, stop);
    if (stop === end) return end;
    return this.#line(this.#kept, 0, this.#keptLength) ? stop + 1 : -1;
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    if (this.#kept.length === 0) this.#kept = new Uint8Array(KEPT_BYTES);
    const count = Math.min(end - start, KEPT_BYTES - this.#keptLength);
    this.#kept.set(bytes.subarray(start, start + count), this.#keptLength);
    this.#keptLength += count;
  }

  #line(bytes: Uint8Array, start: number, end: number): boolean {
    const stop = end > start && bytes[end - 1] === CR ? end - 1 : end;
    const length = this.#handler.line(bytes, start, Math.min(stop, start + KEPT_BYTES));
    this.#lineBytes = 0;
    this.#keptLength = 0;
    this.#kept = NOTHING;
    if (length === NO_LINE) return false;
    if (length === NO_VALUE) this.#end();
    else this.#left = length + 2;
    return true;
  }

  #value(bytes: Uint8Array, start: number, end: number): number {
    const taken = Math.min(this.#left, end - start);
    const before = this.#left;
    this.#left -= taken;
    if (before >= 2 && this.#left <= 1 && bytes[start + before - 2] !== CR) return -1;
    if (this.#left === 0 && bytes[start + taken - 1] !== LF) return -1;
    if (this.#left === 0) this.#end();
    return start + taken;
  }

  #end(): void {
    this.#started = false;
    this.#handler.ended();
  }

  /** Bytes that nobody saw. False when they are not all in one value. */
  hole(count: number): boolean {
    if (count > this.#left) return false;
    this.#left -= count;
    if (this.#left === 0) this.#end();
    return true;
  }
}
