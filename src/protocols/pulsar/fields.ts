// SPDX-License-Identifier: Apache-2.0
import type { ByteCursor } from "../byte-cursor.ts";

/** Fields with higher numbers are passed. */
const FIELDS = 16;
const FIELDS_READ_MAX = 256;

/** The fields of one protobuf message by their numbers; of a repeated one the last. */
export class ProtoFields {
  /** Integers; -1 without one. */
  readonly numbers: Float64Array = new Float64Array(FIELDS);
  /** Where strings, bytes and messages begin and end; -1 without one. */
  readonly starts: Float64Array = new Float64Array(FIELDS);
  readonly ends: Float64Array = new Float64Array(FIELDS);

  /** Reads what stands from the cursor to `end`; false when that is no message. */
  read(cursor: ByteCursor, end: number): boolean {
    this.numbers.fill(-1);
    this.starts.fill(-1);
    for (let left = FIELDS_READ_MAX; left > 0 && cursor.at < end && !cursor.isCut; left--) {
      const key = cursor.varint();
      const field = Math.floor(key / 8);
      if (field === 0) return false;
      if (!this.#value(cursor, field, key % 8)) return false;
    }
    return !cursor.isCut;
  }

  #value(cursor: ByteCursor, field: number, wireType: number): boolean {
    if (wireType === 0) {
      const value = cursor.varint();
      if (field < FIELDS) this.numbers[field] = value;
    } else if (wireType === 2) {
      const size = cursor.varint();
      const at = cursor.take(size);
      if (at >= 0 && field < FIELDS) {
        this.starts[field] = at;
        this.ends[field] = at + size;
      }
    } else if (wireType === 1) cursor.skip(8);
    else if (wireType === 5) cursor.skip(4);
    else return false;
    return true;
  }

  number(field: number): number {
    return this.numbers[field] ?? -1;
  }

  start(field: number): number {
    return this.starts[field] ?? -1;
  }

  end(field: number): number {
    return this.ends[field] ?? -1;
  }
}
