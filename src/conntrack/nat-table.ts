// SPDX-License-Identifier: Apache-2.0
import {
  ENTRY_ID,
  ENTRY_WORDS,
  isSameAddress,
  isTranslated,
  ORIGIN,
  ORIGINAL_DESTINATION,
  ORIGINAL_PORTS,
  ORIGINAL_SOURCE,
  REPLY_DESTINATION,
  REPLY_PORTS,
  REPLY_SOURCE,
} from "./nat-entry.ts";

const ROWS_FIRST = 1024;
const NONE = 0;
const PROTOCOL_MASK = 0xff;
/** NAT behind NAT is followed so far. */
const HOPS_MAX = 8;
/** A connection may be heard of so much after it was made, where nothing else fits, ns. */
const TOLERANCE_NS = 2e9;
/** `until` of a connection that has not ended. */
const LIVE = Number.POSITIVE_INFINITY;

/** How a look-up ended. */
export type Resolution = "none" | "found" | "ambiguous";

/** When a connection was seen, nanoseconds of the epoch. */
export interface Sighting {
  readonly sinceNs: number;
  readonly nowNs: number;
  /** The listing of its source that it was seen in, for `endUnseen`. */
  readonly round: number;
}

/** One end's view of a connection at some time, for a look-up; filled by the caller. */
export class Lookup {
  /** Local address, then peer address. */
  readonly words: Int32Array = new Int32Array(8);
  localPort = 0;
  peerPort = 0;
  /** IPPROTO_TCP or IPPROTO_UDP. */
  protocol = 0;
  /** When, nanoseconds of the epoch. */
  startNs = 0;
  /** The answer: who the peer really is. */
  readonly real: Int32Array = new Int32Array(4);
  realPort = 0;
  /** The answer: what the peer calls us, the service's address for a server. */
  readonly ours: Int32Array = new Int32Array(4);
  oursPort = 0;
}

/**
 * Translated connections by both of their tuples and by time, in flat arrays. An entry that ended
 * is kept for a while, for spans that come late, and tells connections apart that have the same
 * addresses and ports one after the other. Bounded; what does not fit is refused.
 */
export class NatTable {
  readonly #rowsMax: number;
  #rows = ROWS_FIRST;
  #words: Int32Array = new Int32Array(ROWS_FIRST * ENTRY_WORDS);
  #since: Float64Array = new Float64Array(ROWS_FIRST);
  #until: Float64Array = new Float64Array(ROWS_FIRST);
  #round: Int32Array = new Int32Array(ROWS_FIRST);
  /** Next row with the same hash, by the original and by the reply tuple. */
  #nextOriginal: Int32Array = new Int32Array(ROWS_FIRST);
  #nextReply: Int32Array = new Int32Array(ROWS_FIRST);
  /** Ended rows in the order in which they ended; free rows. */
  #nextInList: Int32Array = new Int32Array(ROWS_FIRST);
  #originals: Int32Array = new Int32Array(ROWS_FIRST * 2);
  #replies: Int32Array = new Int32Array(ROWS_FIRST * 2);
  #firstEnded = NONE;
  #lastEnded = NONE;
  #free = NONE;
  #rowsUsed = 1;
  /** Entries of connections that live. */
  live = 0;
  /** Entries that ended and are not forgotten yet. */
  ended = 0;
  /** Grows with every change of what is in the table. */
  version = 0;

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax;
  }

  /** Rows in memory. */
  get capacity(): number {
    return this.#rows;
  }

  /**
   * Takes a connection that is there since `sinceNs` or later; `words` as in `nat-entry.ts`. What
   * had the same tuple in the same source ended at `nowNs` at the latest. Connections that are not
   * translated are not kept. False when the table is full.
   */
  put(words: Int32Array, { sinceNs, nowNs, round }: Sighting): boolean {
    let row = this.#findLive(words);
    if (row !== NONE) {
      if (this.#isSameConnection(row, words)) {
        this.#round[row] = round;
        return true;
      }
      this.#end(row, nowNs);
    }
    if (!isTranslated(words)) return true;
    row = this.#take();
    if (row === NONE) return false;
    this.#words.set(words, row * ENTRY_WORDS);
    this.#since[row] = sinceNs;
    this.#until[row] = LIVE;
    this.#round[row] = round;
    this.#link(row);
    this.live++;
    this.version++;
    return true;
  }

  /** The connection ended at `nowNs`. */
  remove(words: Int32Array, nowNs: number): void {
    const row = this.#findLive(words);
    if (row === NONE) return;
    const id = this.#words[row * ENTRY_WORDS + ENTRY_ID];
    if (id !== 0 && words[ENTRY_ID] !== 0 && id !== words[ENTRY_ID]) return;
    this.#end(row, nowNs);
  }

  /** Ends what of `source` was not put again since the round began: the kernel has it no more. */
  endUnseen(source: number, round: number, nowNs: number): void {
    for (let row = 1; row < this.#rowsUsed; row++) {
      if (this.#until[row] !== LIVE || this.#round[row] === round) continue;
      if ((this.#words[row * ENTRY_WORDS + ORIGIN] ?? 0) >>> 8 === source) this.#end(row, nowNs);
    }
  }

  /** Forgets what ended before `beforeNs`. */
  forget(beforeNs: number): void {
    for (let row = this.#firstEnded; row !== NONE; row = this.#firstEnded) {
      if ((this.#until[row] ?? 0) >= beforeNs) return;
      this.#forgetFirst();
    }
  }

  /** Who is at the other end? Follows NAT behind NAT. */
  resolve(lookup: Lookup): Resolution {
    const { words } = lookup;
    const ports = (lookup.localPort << 16) | lookup.peerPort;
    const byOriginal = this.#match(words, ports, lookup, false);
    const byReply = this.#match(words, ports, lookup, true);
    if (byOriginal < 0 || byReply < 0) return "ambiguous";
    if (byOriginal === NONE && byReply === NONE) return "none";
    if (byOriginal !== NONE && byReply !== NONE) return "ambiguous";
    return this.#follow(byOriginal + byReply, lookup, byReply !== NONE);
  }

  readonly #step: Int32Array = new Int32Array(8);

  #follow(first: number, lookup: Lookup, isReply: boolean): Resolution {
    const step = this.#step;
    let row = first;
    for (let hop = 0; hop < HOPS_MAX; hop++) {
      // What goes on from here is the other tuple, read backwards.
      const at = row * ENTRY_WORDS + (isReply ? ORIGINAL_SOURCE : REPLY_SOURCE);
      for (let index = 0; index < 4; index++) {
        step[index] = this.#words[at + 4 + index] ?? 0;
        step[4 + index] = this.#words[at + index] ?? 0;
      }
      const seen = this.#words[row * ENTRY_WORDS + (isReply ? ORIGINAL_PORTS : REPLY_PORTS)] ?? 0;
      const ports = (seen << 16) | (seen >>> 16);
      const next = this.#match(step, ports, lookup, isReply);
      if (next < 0) return "ambiguous";
      if (next === NONE) {
        for (let index = 0; index < 4; index++) {
          lookup.ours[index] = step[index] ?? 0;
          lookup.real[index] = step[4 + index] ?? 0;
        }
        lookup.oursPort = ports >>> 16;
        lookup.realPort = ports & 0xffff;
        return "found";
      }
      row = next;
    }
    return "ambiguous";
  }

  /**
   * Calls back for each entry that lives (`untilNs` is infinite) or ended after `afterNs`. The
   * entry stands in `words` at `at` during the call.
   */
  each(afterNs: number, visit: (words: Int32Array, at: number, untilNs: number) => void): void {
    for (let row = 1; row < this.#rowsUsed; row++) {
      const untilNs = this.#until[row] ?? 0;
      if (this.#since[row] === LIVE || untilNs < afterNs) continue;
      visit(this.#words, row * ENTRY_WORDS, untilNs);
    }
  }

  /**
   * The row whose tuple is `words` and `ports` at the time of the look-up; -1 when rows with
   * different answers are. What has just been heard of counts only where nothing else does.
   */
  #match(words: Int32Array, ports: number, lookup: Lookup, isReply: boolean): number {
    const exact = this.#matchWithin(words, ports, lookup, isReply, 0);
    return exact !== NONE ? exact : this.#matchWithin(words, ports, lookup, isReply, TOLERANCE_NS);
  }

  #matchWithin(
    words: Int32Array,
    ports: number,
    lookup: Lookup,
    isReply: boolean,
    toleranceNs: number,
  ): number {
    const tuple = isReply ? REPLY_SOURCE : ORIGINAL_SOURCE;
    const portsAt = isReply ? REPLY_PORTS : ORIGINAL_PORTS;
    const heads = isReply ? this.#replies : this.#originals;
    const chain = isReply ? this.#nextReply : this.#nextOriginal;
    const table = this.#words;
    let found = NONE;
    let row = heads[hash(words, 0, ports, lookup.protocol) & (heads.length - 1)] ?? NONE;
    for (; row !== NONE; row = chain[row] ?? NONE) {
      const at = row * ENTRY_WORDS;
      if (table[at + portsAt] !== ports) continue;
      if (((table[at + ORIGIN] ?? 0) & PROTOCOL_MASK) !== lookup.protocol) continue;
      if (!isSameAddress(table, at + tuple, words, 0)) continue;
      if (!isSameAddress(table, at + tuple + 4, words, 4)) continue;
      if ((this.#since[row] ?? 0) > lookup.startNs + toleranceNs) continue;
      if ((this.#until[row] ?? 0) < lookup.startNs) continue;
      if (found === NONE) found = row;
      else if (!this.#isSameAnswer(found, row, isReply)) return -1;
    }
    return found;
  }

  #isSameAnswer(one: number, other: number, isReply: boolean): boolean {
    const [a, b] = [one * ENTRY_WORDS, other * ENTRY_WORDS];
    const tuple = isReply ? ORIGINAL_SOURCE : REPLY_SOURCE;
    const ports = isReply ? ORIGINAL_PORTS : REPLY_PORTS;
    const table = this.#words;
    return (
      table[a + ports] === table[b + ports] &&
      isSameAddress(table, a + tuple, table, b + tuple) &&
      isSameAddress(table, a + tuple + 4, table, b + tuple + 4)
    );
  }

  #isSameConnection(row: number, words: Int32Array): boolean {
    const at = row * ENTRY_WORDS;
    const table = this.#words;
    return (
      table[at + REPLY_PORTS] === words[REPLY_PORTS] &&
      isSameAddress(table, at + REPLY_SOURCE, words, REPLY_SOURCE) &&
      isSameAddress(table, at + REPLY_DESTINATION, words, REPLY_DESTINATION) &&
      (words[ENTRY_ID] === 0 || table[at + ENTRY_ID] === words[ENTRY_ID])
    );
  }

  #findLive(words: Int32Array): number {
    const ports = words[ORIGINAL_PORTS] ?? 0;
    const protocol = (words[ORIGIN] ?? 0) & PROTOCOL_MASK;
    const heads = this.#originals;
    const table = this.#words;
    let row = heads[hash(words, ORIGINAL_SOURCE, ports, protocol) & (heads.length - 1)] ?? NONE;
    for (; row !== NONE; row = this.#nextOriginal[row] ?? NONE) {
      const at = row * ENTRY_WORDS;
      if (this.#until[row] !== LIVE || table[at + ORIGINAL_PORTS] !== ports) continue;
      if (table[at + ORIGIN] !== words[ORIGIN]) continue;
      if (!isSameAddress(table, at + ORIGINAL_SOURCE, words, ORIGINAL_SOURCE)) continue;
      if (isSameAddress(table, at + ORIGINAL_DESTINATION, words, ORIGINAL_DESTINATION)) return row;
    }
    return NONE;
  }

  #end(row: number, untilNs: number): void {
    this.#until[row] = untilNs;
    this.#nextInList[row] = NONE;
    if (this.#lastEnded === NONE) this.#firstEnded = row;
    else this.#nextInList[this.#lastEnded] = row;
    this.#lastEnded = row;
    this.live--;
    this.ended++;
    this.version++;
  }

  #forgetFirst(): void {
    const row = this.#firstEnded;
    this.#firstEnded = this.#nextInList[row] ?? NONE;
    if (this.#firstEnded === NONE) this.#lastEnded = NONE;
    this.#unlink(row, this.#originals, this.#nextOriginal, this.#hashOf(row, false));
    this.#unlink(row, this.#replies, this.#nextReply, this.#hashOf(row, true));
    this.#since[row] = LIVE;
    this.#until[row] = 0;
    this.#nextInList[row] = this.#free;
    this.#free = row;
    this.ended--;
    this.version++;
  }

  #unlink(row: number, heads: Int32Array, chain: Int32Array, hashed: number): void {
    const head = hashed & (heads.length - 1);
    if (heads[head] === row) {
      heads[head] = chain[row] ?? NONE;
      return;
    }
    let before = heads[head] ?? NONE;
    while (before !== NONE && chain[before] !== row) before = chain[before] ?? NONE;
    if (before !== NONE) chain[before] = chain[row] ?? NONE;
  }

  #link(row: number): void {
    const original = this.#hashOf(row, false) & (this.#originals.length - 1);
    this.#nextOriginal[row] = this.#originals[original] ?? NONE;
    this.#originals[original] = row;
    const reply = this.#hashOf(row, true) & (this.#replies.length - 1);
    this.#nextReply[row] = this.#replies[reply] ?? NONE;
    this.#replies[reply] = row;
  }

  #hashOf(row: number, isReply: boolean): number {
    const at = row * ENTRY_WORDS;
    const ports = this.#words[at + (isReply ? REPLY_PORTS : ORIGINAL_PORTS)] ?? 0;
    const protocol = (this.#words[at + ORIGIN] ?? 0) & PROTOCOL_MASK;
    return hash(this.#words, at + (isReply ? REPLY_SOURCE : ORIGINAL_SOURCE), ports, protocol);
  }

  /** A free row: what ended first goes when the table is full. */
  #take(): number {
    if (this.#free === NONE && this.#rowsUsed > this.#rowsMax && this.ended > 0) {
      this.#forgetFirst();
    }
    const row = this.#free;
    if (row !== NONE) {
      this.#free = this.#nextInList[row] ?? NONE;
      return row;
    }
    if (this.#rowsUsed > this.#rowsMax) return NONE;
    if (this.#rowsUsed === this.#rows) this.#grow();
    return this.#rowsUsed++;
  }

  #grow(): void {
    const rows = this.#rows * 2;
    const larger = (from: Int32Array, length: number): Int32Array => {
      const to = new Int32Array(length);
      to.set(from);
      return to;
    };
    const doubles = (from: Float64Array): Float64Array => {
      const to = new Float64Array(rows);
      to.set(from);
      return to;
    };
    this.#rows = rows;
    this.#words = larger(this.#words, rows * ENTRY_WORDS);
    this.#round = larger(this.#round, rows);
    this.#nextOriginal = larger(this.#nextOriginal, rows);
    this.#nextReply = larger(this.#nextReply, rows);
    this.#nextInList = larger(this.#nextInList, rows);
    this.#since = doubles(this.#since);
    this.#until = doubles(this.#until);
    this.#originals = new Int32Array(rows * 2);
    this.#replies = new Int32Array(rows * 2);
    for (let row = 1; row < this.#rowsUsed; row++) {
      if (this.#since[row] !== LIVE) this.#link(row);
    }
  }
}

/** Of source, destination, ports and protocol. */
function hash(words: Int32Array, at: number, ports: number, protocol: number): number {
  let value = ports ^ (protocol << 24);
  for (let index = 0; index < 8; index++) {
    value = Math.imul(value ^ (words[at + index] ?? 0), 0x9e3779b1);
    value ^= value >>> 15;
  }
  return value >>> 1;
}
