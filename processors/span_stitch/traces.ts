// SPDX-License-Identifier: Apache-2.0

const ROWS_FIRST = 1024;
const WORDS = 4;

/** Finaliser of MurmurHash3 on 32 bits: every bit of the input changes half of the output. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/**
 * Traces that spans are in: id, size and how many rows refer to them. Row 0 is none. A row is
 * freed with its last reference, so the table is no larger than the table of spans.
 */
export class Traces {
  /** Four words a trace, little-endian, as they stand in the span. */
  words: Int32Array = new Int32Array(ROWS_FIRST * WORDS);
  /** Our spans sent in it. */
  spans: Int32Array = new Int32Array(ROWS_FIRST);
  #references: Int32Array = new Int32Array(ROWS_FIRST);
  #rows = 1;
  #free: number[] = [];

  /** Rows in use. */
  get used(): number {
    return this.#rows - 1 - this.#free.length;
  }

  /** With one reference. */
  create(word0: number, word1: number, word2: number, word3: number): number {
    let row = this.#free.pop();
    if (row === undefined) {
      if (this.#rows === this.spans.length) this.#grow();
      row = this.#rows++;
    }
    const at = row * WORDS;
    this.words[at] = word0;
    this.words[at + 1] = word1;
    this.words[at + 2] = word2;
    this.words[at + 3] = word3;
    this.spans[row] = 0;
    this.#references[row] = 1;
    return row;
  }

  /**
   * The trace of a root without a header: 128 bits that follow from its span id, so that whoever
   * promises it and the root itself agree without a word. `salt` makes another one.
   */
  derive(idLow: number, idHigh: number, salt = 0): number {
    const seed = Math.imul(salt, 0x9e3779b1);
    const a = mix(idLow ^ seed ^ 0x42acc572);
    const b = mix(idHigh ^ a ^ 0x9e3779b9);
    return this.create(a ^ mix(b + 0x7f4a7c15), b, mix(idLow + b), mix(idHigh ^ (a + seed)) | 1);
  }

  equal(one: number, other: number): boolean {
    for (let i = 0; i < WORDS; i++) {
      if (this.words[one * WORDS + i] !== this.words[other * WORDS + i]) return false;
    }
    return true;
  }

  retain(row: number): number {
    this.#references[row] = (this.#references[row] ?? 0) + 1;
    return row;
  }

  release(row: number): void {
    if (row === 0) return;
    const left = (this.#references[row] ?? 0) - 1;
    this.#references[row] = left;
    if (left === 0) this.#free.push(row);
  }

  #grow(): void {
    const rows = this.spans.length * 2;
    const words = new Int32Array(rows * WORDS);
    words.set(this.words);
    const spans = new Int32Array(rows);
    spans.set(this.spans);
    const references = new Int32Array(rows);
    references.set(this.#references);
    this.words = words;
    this.spans = spans;
    this.#references = references;
  }
}
