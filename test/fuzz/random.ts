// SPDX-License-Identifier: Apache-2.0

/** A small generator with a seed of 53 bits: the same seed gives the same numbers everywhere. */
export class Random {
  #a: number;
  #b: number;

  constructor(seed: number) {
    this.#a = (seed ^ 0x9e3779b9) | 0;
    this.#b = (Math.floor(seed / 0x100000000) ^ 0x85ebca6b) | 0;
    for (let round = 0; round < 8; round++) this.#next();
  }

  /** 0 to `limit` - 1; 0 when there is nothing to choose from. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.#next() % limit;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error("There is nothing to pick from.");
    return value;
  }

  /** 32 bits, xorshift of two words and a multiplication. */
  #next(): number {
    let t = this.#a;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = this.#b;
    this.#b = (this.#b ^ (this.#b >>> 19) ^ t) | 0;
    if ((this.#a | this.#b) === 0) this.#b = 1;
    return Math.imul(this.#b, 0x9e3779b1) >>> 0;
  }
}
