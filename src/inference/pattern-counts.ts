// SPDX-License-Identifier: Apache-2.0
import { createRandom } from "./random.ts";

/** Weight of what was never seen, in examples. */
const UNSEEN_WEIGHT = 0.5;
/** Patterns kept; the rarest go first. */
const PATTERNS_MAX = 256;
/** Counts fall to a third within as many examples. */
const FORGET_EXAMPLES = 2000;
/** Calls of a kind expected of a handler before anything is learnt. */
const MEAN_BEFORE = 0.5;
/** Calls of one kind that are told apart in a prefix. */
const TALLY_MAX = 16;

/** A number a kind; a sum of them names a multiset of kinds, and sums are exact below 2^53. */
const KIND_SALTS = createSalts(4096);

function createSalts(count: number): Float64Array {
  const random = createRandom(0x51ed270b);
  const salts = new Float64Array(count);
  for (let i = 0; i < count; i++) salts[i] = Math.floor(random() * 2 ** 42);
  return salts;
}

function patternKey(children: readonly number[], kinds: Int32Array): number {
  let key = 0;
  for (const child of children) key += KIND_SALTS[(kinds[child] ?? 0) & 4095] ?? 0;
  return key;
}

interface KindTally {
  sum: number;
  /** Weight of examples with at least as many calls of the kind as the index plus one. */
  readonly atLeast: Float64Array;
  /** Logarithm of the share of examples with so many, as of the last refresh. */
  readonly logs: Float64Array;
}

/** How often a handler makes which calls, as a multiset of kinds. Forgets; bounded. */
export class PatternCounts {
  readonly #counts = new Map<number, number>();
  readonly #logs = new Map<number, number>();
  readonly #tallies = new Map<number, KindTally>();
  /** Weight of one new example; it grows, which is the same as all others shrinking. */
  #unit = 1;
  #total = 0;
  #logUnseen = 0;

  /** Natural logarithm of the probability that a handler makes just these calls. */
  logProbability(children: readonly number[], kinds: Int32Array): number {
    const key = patternKey(children, kinds);
    const known = this.#logs.get(key);
    if (known !== undefined) return known;
    const share = UNSEEN_WEIGHT / (this.#total / this.#unit + UNSEEN_WEIGHT);
    const log = Math.log(share) + this.#logBase(children, kinds);
    if (this.#logs.size < 4 * PATTERNS_MAX) this.#logs.set(key, log);
    return log;
  }

  /** The same for "at least as many calls as so far of the kind of the last of them". */
  logContinues(children: readonly number[], kinds: Int32Array): number {
    const kind = kinds[children.at(-1) ?? 0] ?? 0;
    let count = 0;
    for (const child of children) if (kinds[child] === kind) count++;
    const logs = this.#tallies.get(kind)?.logs;
    if (logs !== undefined && count <= TALLY_MAX) return logs[count - 1] ?? 0;
    return this.#logUnseen - count * Math.LN2;
  }

  add(children: readonly number[], kinds: Int32Array): void {
    const key = patternKey(children, kinds);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + this.#unit);
    this.#total += this.#unit;
    const seen = new Map<number, number>();
    for (const child of children) {
      const kind = kinds[child] ?? 0;
      const count = (seen.get(kind) ?? 0) + 1;
      seen.set(kind, count);
      let tally = this.#tallies.get(kind);
      if (tally === undefined) {
        const logs = Float64Array.from({ length: TALLY_MAX }, (_, i) => -(i + 1) * Math.LN2);
        tally = { sum: 0, atLeast: new Float64Array(TALLY_MAX), logs };
        this.#tallies.set(kind, tally);
      }
      tally.sum += this.#unit;
      if (count <= TALLY_MAX) {
        tally.atLeast[count - 1] = (tally.atLeast[count - 1] ?? 0) + this.#unit;
      }
    }
    this.#unit *= 1 + 1 / FORGET_EXAMPLES;
  }

  /** Makes what was added count in `logProbability`. */
  refresh(): void {
    this.#rescale();
    this.#logs.clear();
    const examples = this.#total + UNSEEN_WEIGHT;
    for (const [key, count] of this.#counts) this.#logs.set(key, Math.log(count / examples));
    for (const { atLeast, logs } of this.#tallies.values()) {
      for (let i = 0; i < TALLY_MAX; i++) {
        logs[i] = Math.log(((atLeast[i] ?? 0) + UNSEEN_WEIGHT * 0.5 ** (i + 1)) / examples);
      }
    }
    this.#logUnseen = Math.log(UNSEEN_WEIGHT / examples);
  }

  /** Brings weights back to units of one example and drops the rarest patterns. */
  #rescale(): void {
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    for (const [key, count] of this.#counts) {
      if (count < total * 1e-5) this.#counts.delete(key);
      else this.#counts.set(key, count / this.#unit);
    }
    if (this.#counts.size > PATTERNS_MAX) {
      const ranked = [...this.#counts].sort((a, b) => b[1] - a[1]).slice(PATTERNS_MAX);
      for (const [key] of ranked) this.#counts.delete(key);
    }
    for (const tally of this.#tallies.values()) {
      tally.sum /= this.#unit;
      for (let i = 0; i < TALLY_MAX; i++) tally.atLeast[i] = (tally.atLeast[i] ?? 0) / this.#unit;
    }
    this.#total = total / this.#unit;
    this.#unit = 1;
  }

  /** Independent Poisson numbers by kind, for multisets that were never seen. */
  #logBase(children: readonly number[], kinds: Int32Array): number {
    const counts = new Map<number, number>();
    for (const child of children) {
      const kind = kinds[child] ?? 0;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    let log = 0;
    for (const [kind, tally] of this.#tallies) if (!counts.has(kind)) log -= this.#mean(tally);
    for (const [kind, count] of counts) {
      const mean = this.#mean(this.#tallies.get(kind));
      log += count * Math.log(mean) - mean;
      for (let i = 2; i <= count; i++) log -= Math.log(i);
    }
    return log;
  }

  #mean(tally: KindTally | undefined): number {
    const sum = (tally?.sum ?? 0) / this.#unit;
    return (sum + MEAN_BEFORE) / (this.#total / this.#unit + 1);
  }
}
