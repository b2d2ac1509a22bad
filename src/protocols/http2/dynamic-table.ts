// SPDX-License-Identifier: Apache-2.0
import { FIELD_NONE, FIELD_UNKNOWN } from "../http/fields.ts";

/** RFC 7541 section 4.1: what an entry counts besides its name and value. */
const ENTRY_OVERHEAD = 32;
const DEFAULT_MAX_BYTES = 4096;
/** A peer may allow more (SETTINGS_HEADER_TABLE_SIZE); entries beyond are then unknown. */
const TABLE_BYTES_MAX = 65_536;
const FIRST_ENTRIES = 4;
const FIRST_BYTES = 64;

/** Numbers kept of an entry: code and size, and where its value starts and how long it is. */
const STRIDE = 4;
const SIZE = 1;
const START = 2;
const LENGTH = 3;

/**
 * The newest entries of an encoder's table, addressed from the newest, as far as their insertions
 * were seen. What an index means depends only on the insertions since: so entries are right even if
 * older ones were missed, and an index beyond them is unknown. Only values of fields that somebody
 * looks at are kept; the size of an entry is at least what its encoding shows, so that nothing is
 * evicted that the encoder still has.
 */
export class DynamicTable {
  /** No insertion was missed and none is kept out: an index beyond is an error of the encoder. */
  complete = false;
  #maxBytes = DEFAULT_MAX_BYTES;
  #size = 0;
  /** Number of the next entry and of the oldest that is kept; entries live at number modulo room. */
  #next = 0;
  #oldest = 0;
  #entries: Int32Array = NO_NUMBERS;
  /** Values, in the order of their entries, from `#tail` to `#head`. */
  #values: Uint8Array = NO_BYTES;
  #head = 0;
  #tail = 0;

  get count(): number {
    return this.#next - this.#oldest;
  }

  /** Where the values of entries are. */
  get bytes(): Uint8Array {
    return this.#values;
  }

  /** Insertions were missed. */
  forget(): void {
    this.complete = false;
    this.#oldest = this.#next;
    this.#size = 0;
    this.#head = 0;
    this.#tail = 0;
  }

  /** A FIELD_ code of the entry's name; FIELD_UNKNOWN for an entry that is not known. 0 is the newest. */
  code(index: number): number {
    return index < this.count ? (this.#entries[this.#place(index)] ?? 0) : FIELD_UNKNOWN;
  }

  /** Of a known entry: where its value starts in `bytes`. Valid until the next insertion. */
  start(index: number): number {
    return this.#entries[this.#place(index) + START] ?? 0;
  }

  length(index: number): number {
    return this.#entries[this.#place(index) + LENGTH] ?? 0;
  }

  #place(index: number): number {
    return this.#placeOf(this.#next - 1 - index);
  }

  #placeOf(number: number): number {
    return (number * STRIDE) & (this.#entries.length - 1);
  }

  resize(maxBytes: number): void {
    if (maxBytes > TABLE_BYTES_MAX) this.complete = false;
    this.#maxBytes = Math.min(maxBytes, TABLE_BYTES_MAX);
    this.#evict(0);
  }

  /** `leastBytes`: what name and value take at least, decoded. The value is `value[start … end)`. */
  insert(code: number, leastBytes: number, value: Uint8Array, start: number, end: number): void {
    const size = leastBytes + ENTRY_OVERHEAD;
    this.#evict(size);
    const length = code === FIELD_NONE || code === FIELD_UNKNOWN ? 0 : end - start;
    this.#makeRoom(length);
    const place = this.#placeOf(this.#next);
    this.#entries[place] = code;
    this.#entries[place + SIZE] = size;
    this.#entries[place + START] = this.#head;
    this.#entries[place + LENGTH] = length;
    for (let index = 0; index < length; index++) {
      this.#values[this.#head + index] = value[start + index] ?? 0;
    }
    this.#head += length;
    this.#size += size;
    this.#next++;
  }

  #evict(size: number): void {
    while (this.#size + size > this.#maxBytes && this.#oldest < this.#next) {
      const place = this.#placeOf(this.#oldest);
      this.#size -= this.#entries[place + SIZE] ?? 0;
      this.#tail = (this.#entries[place + START] ?? 0) + (this.#entries[place + LENGTH] ?? 0);
      this.#oldest++;
    }
  }

  #makeRoom(length: number): void {
    const room = this.#entries.length / STRIDE;
    if (this.count === room) this.#grow(Math.max(FIRST_ENTRIES, room * 2));
    if (this.#head + length <= this.#values.length) return;
    this.#compact(length);
  }

  /** Moves the values to the beginning of a buffer that has room for `length` more. */
  #compact(length: number): void {
    const kept = this.#head - this.#tail;
    // A quarter to spare: most connections insert what they repeat, and then no more.
    const least = kept + length + ((kept + length) >> 2);
    const room = Math.ceil(least / FIRST_BYTES) * FIRST_BYTES;
    const values = new Uint8Array(room);
    values.set(this.#values.subarray(this.#tail, this.#head));
    for (let index = 0; index < this.count; index++) {
      const place = this.#place(index) + START;
      this.#entries[place] = (this.#entries[place] ?? 0) - this.#tail;
    }
    this.#values = values;
    this.#head = kept;
    this.#tail = 0;
  }

  #grow(room: number): void {
    const old = this.#entries;
    const kept = this.count;
    this.#entries = new Int32Array(room * STRIDE);
    for (let number = this.#next - kept; number < this.#next; number++) {
      const from = (number * STRIDE) & (old.length - 1);
      this.#entries.set(old.subarray(from, from + STRIDE), this.#placeOf(number));
    }
  }
}

const NO_NUMBERS = new Int32Array(0);
const NO_BYTES = new Uint8Array(0);
