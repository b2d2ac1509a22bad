// SPDX-License-Identifier: Apache-2.0

const ROWS_FIRST = 1024;
/** Words of a row: four of the id, the spans, the references, the first start, one unused. */
const ROW_WORDS = 8;
const ID_WORDS = 4;
const SPANS = 4;
const REFERENCES = 5;
const START = 6;

/** Finaliser of MurmurHash3 on 32 bits: every bit of the input changes half of the output. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/**
 * Traces that spans are in: id, size and how many rows refer to them. A row is named by where its
 * words start; row 0 is none. A row is freed with its last reference, so the table is no larger
 * than the table of spans.
 */
export class Traces {
  /** From a trace's row on: its id in four words, little-endian, as they stand in the span. */
  words: Int32Array = new Int32Array(ROWS_FIRST * ROW_WORDS);
  #end = ROW_WORDS;
  #free = 0;
  #used = 0;

  /** Rows in use. */
  get used(): number {
    return this.#used;
  }

  /** With one reference. */
  create(word0: number, word1: number, word2: number, word3: number): number {
    let row = this.#free;
    if (row !== 0) this.#free = this.words[row] ?? 0;
    else {
      if (this.#end === this.words.length) this.#grow();
      row = this.#end;
      this.#end += ROW_WORDS;
    }
    this.#used++;
    const words = this.words;
    words[row] = word0;
    words[row + 1] = word1;
    words[row + 2] = word2;
    words[row + 3] = word3;
    words[row + SPANS] = 0;
    words[row + START] = 0;
    words[row + REFERENCES] = 1;
    return row;
  }

  /** Our spans sent in it. */
  spans(row: number): number {
    return this.words[row + SPANS] ?? 0;
  }

  /** Whole seconds since the epoch at which the first span sent in it started; 0 before. */
  startS(row: number): number {
    return (this.words[row + START] ?? 0) >>> 0;
  }

  addSpan(row: number, startS: number): void {
    if (this.spans(row) === 0) this.words[row + START] = startS;
    this.words[row + SPANS] = this.spans(row) + 1;
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
    for (let i = 0; i < ID_WORDS; i++) {
      if (this.words[one + i] !== this.words[other + i]) return false;
    }
    return true;
  }

  retain(row: number): number {
    this.words[row + REFERENCES] = (this.words[row + REFERENCES] ?? 0) + 1;
    return row;
  }

  release(row: number): void {
    if (row === 0) return;
    const words = this.words;
    const left = (words[row + REFERENCES] ?? 0) - 1;
    words[row + REFERENCES] = left;
    if (left !== 0) return;
    words[row] = this.#free;
    this.#free = row;
    this.#used--;
  }

  #grow(): void {
    const words = new Int32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
  }
}
