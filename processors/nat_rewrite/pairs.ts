// SPDX-License-Identifier: Apache-2.0
import type { Lookup } from "../../src/conntrack/nat-table.ts";
import { type Facts, LOCAL, PEER } from "./facts.ts";

/** Words of a row: the id, then of each end its address and port, and the peer's as it sees it. */
const ROW_WORDS = 22;
const CLIENT_AT = 2;
const SERVER_AT = 12;
const END_WORDS = 10;
const HAS_CLIENT = 1;
const HAS_SERVER = 2;
const AMBIGUOUS = 4;

/**
 * What both ends of a request say of its connection, by the id of its client span, which the server
 * span names as its parent because both counted the same byte. The newest requests only: the
 * oldest row is used again.
 */
export class Pairs {
  readonly #capacity: number;
  readonly #words: Int32Array;
  readonly #flags: Uint8Array;
  readonly #next: Int32Array;
  readonly #heads: Int32Array;
  #cursor = 0;
  /** Ids that came twice with different addresses. */
  ambiguous = 0;

  /** Rows, rounded up to a power of two. */
  constructor(rows: number) {
    this.#capacity = 2 ** Math.ceil(Math.log2(rows));
    this.#words = new Int32Array(this.#capacity * ROW_WORDS);
    this.#flags = new Uint8Array(this.#capacity);
    this.#next = new Int32Array(this.#capacity).fill(-1);
    this.#heads = new Int32Array(this.#capacity).fill(-1);
  }

  /** Remembers what this span says of its connection. */
  learn(facts: Facts): void {
    if (!facts.hasLocal || !facts.hasPeer || facts.localPort === 0 || facts.peerPort === 0) return;
    if (facts.isServer) {
      if (!facts.isByteNamed) return;
      this.#put(facts.parentLow, facts.parentHigh, facts, HAS_SERVER);
    } else this.#put(facts.idLow, facts.idHigh, facts, HAS_CLIENT);
  }

  /** True when the other end of the span's request is known: `lookup` has its answer. */
  resolve(facts: Facts, lookup: Lookup): boolean {
    if (facts.isServer && !facts.isByteNamed) return false;
    const row = facts.isServer
      ? this.#find(facts.parentLow, facts.parentHigh)
      : this.#find(facts.idLow, facts.idHigh);
    if (row < 0 || this.#flags[row] !== (HAS_CLIENT | HAS_SERVER)) return false;
    const at = row * ROW_WORDS + (facts.isServer ? CLIENT_AT : SERVER_AT);
    for (let index = 0; index < 4; index++) {
      lookup.real[index] = this.#words[at + index] ?? 0;
      lookup.ours[index] = this.#words[at + 5 + index] ?? 0;
    }
    lookup.realPort = this.#words[at + 4] ?? 0;
    lookup.oursPort = this.#words[at + 9] ?? 0;
    return true;
  }

  #put(low: number, high: number, facts: Facts, flag: number): void {
    let row = this.#find(low, high);
    if (row < 0) row = this.#take(low, high);
    const at = row * ROW_WORDS + (flag === HAS_CLIENT ? CLIENT_AT : SERVER_AT);
    const flags = this.#flags[row] ?? 0;
    if ((flags & flag) !== 0) {
      if ((flags & AMBIGUOUS) !== 0 || this.#isSame(at, facts)) return;
      this.#flags[row] = flags | AMBIGUOUS;
      this.ambiguous++;
      return;
    }
    this.#flags[row] = flags | flag;
    for (let index = 0; index < 4; index++) {
      this.#words[at + index] = facts.words[LOCAL + index] ?? 0;
      this.#words[at + 5 + index] = facts.words[PEER + index] ?? 0;
    }
    this.#words[at + 4] = facts.localPort;
    this.#words[at + 9] = facts.peerPort;
  }

  #isSame(at: number, facts: Facts): boolean {
    const words = this.#words;
    for (let index = 0; index < END_WORDS / 2 - 1; index++) {
      if (words[at + index] !== facts.words[LOCAL + index]) return false;
      if (words[at + 5 + index] !== facts.words[PEER + index]) return false;
    }
    return words[at + 4] === facts.localPort && words[at + 9] === facts.peerPort;
  }

  #find(low: number, high: number): number {
    let row = this.#heads[this.#head(low, high)] ?? -1;
    for (; row >= 0; row = this.#next[row] ?? -1) {
      const at = row * ROW_WORDS;
      if (this.#words[at] === low && this.#words[at + 1] === high) return row;
    }
    return -1;
  }

  /** The ids are hashes already. */
  #head(low: number, high: number): number {
    return (low ^ high) & (this.#capacity - 1);
  }

  #take(low: number, high: number): number {
    const row = this.#cursor;
    this.#cursor = (row + 1) & (this.#capacity - 1);
    if (this.#flags[row] !== 0) this.#unlink(row);
    const at = row * ROW_WORDS;
    this.#words[at] = low;
    this.#words[at + 1] = high;
    this.#flags[row] = 0;
    const head = this.#head(low, high);
    this.#next[row] = this.#heads[head] ?? -1;
    this.#heads[head] = row;
    return row;
  }

  #unlink(row: number): void {
    const at = row * ROW_WORDS;
    const head = this.#head(this.#words[at] ?? 0, this.#words[at + 1] ?? 0);
    if (this.#heads[head] === row) {
      this.#heads[head] = this.#next[row] ?? -1;
      return;
    }
    let before = this.#heads[head] ?? -1;
    while (before >= 0 && this.#next[before] !== row) before = this.#next[before] ?? -1;
    if (before >= 0) this.#next[before] = this.#next[row] ?? -1;
  }
}
