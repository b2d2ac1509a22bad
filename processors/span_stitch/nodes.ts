// SPDX-License-Identifier: Apache-2.0

/** What a row is. */
export const FREE = 0;
/** Somebody waits for the span with this id; it has not come. */
export const UNSEEN = 1;
/** Came, and waits for its trace to be known. */
export const HELD = 2;
/** Its trace is known: sent, or about to be. */
export const SETTLED = 3;
/** Has not come, but descendants were sent: it gets their trace id. */
export const PROMISED = 4;
/** Not a span: the id is a hash of a trace header and a process, `origin` its server span. */
export const CONTEXT = 5;

/** What a held span waits for at `parent`. */
export const WAITS_NOTHING = 0;
/** The span there is its parent. */
export const WAITS_PARENT = 1;
/** The span there is an earlier call; the parent of that one is its own, too. */
export const WAITS_ORIGIN = 2;
/** The server span there: does it have the same trace header? */
export const WAITS_COMPARE = 3;
/** Any server span with the same trace header; nothing is at `parent`. */
export const WAITS_CONTEXT = 4;

/** Row flags. */
/** The parent may not exist. */
export const PROVISIONAL = 0x01;
/** Two spans came with this id: it is nobody's parent. */
export const AMBIGUOUS = 0x02;
/** Linked by what its thread did: it must start before its parent ends. */
export const NESTED = 0x04;
/** Not in the index: a second span with an id that is taken. */
export const DETACHED = 0x08;
/** The span's key holds a trace context. */
export const HAS_CONTEXT = 0x10;
/** `parentLow`, `parentHigh` name a span that we did not make. */
export const EXTERNAL = 0x20;

/** How a link is known: evidence and how sure it is, percent, in one number. */
export function proofOf(evidence: number, percent: number): number {
  return evidence * 128 + percent;
}

export function evidenceOf(proof: number): number {
  return proof >>> 7;
}

export function percentOf(proof: number): number {
  return proof & 127;
}

/** Words of a row: two cache lines; what a look-up and the lists touch is in the first. */
const ROW_WORDS = 32;
const ID_LOW = 0;
const ID_HIGH = 1;
const STATE = 2;
const FLAGS = 3;
const WAITS = 4;
const PARENT = 5;
const FIRST_CHILD = 6;
const NEXT_CHILD = 7;
const PREVIOUS_CHILD = 8;
const TRACE = 9;
const LIST = 10;
const LIST_AT = 11;
const PARENT_LOW = 14;
const PARENT_HIGH = 15;
/** Two doubles, at an even place. */
const TIMES = 16;
const PROOF = 20;
const ORIGIN_PROOF = 21;
const ORIGIN_LOW = 22;
const ORIGIN_HIGH = 23;
const CONTEXT_LOW = 24;
const CONTEXT_HIGH = 25;
const SOURCE = 26;
const BODY_AT = 27;
const KEY_AT = 28;
const BODY_END = 29;
const GROUP = 30;

/** At most half of the index is in use. */
const PAIRS_PER_ROW = 2;

function hashOf(low: number, high: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

/**
 * The table of spans, found by 8-byte id in an open addressing index with linear probing. All of a
 * span stands in one place, since each place costs a cache miss: a row is named by where its words
 * start, and each field is a view of the whole table, moved by the field's place in a row, so that
 * `nodes.parent[row]` is the parent of `row`. Row 0 is none. Grows by doubling; who inserts keeps
 * the bound. Rows below one parent are a doubly linked list.
 */
export class Nodes {
  #words: Int32Array;
  #times: Float64Array;
  idLow: Int32Array;
  idHigh: Int32Array;
  state: Int32Array;
  waits: Int32Array;
  flags: Int32Array;
  /** `proofOf` the link to the parent. */
  proof: Int32Array;
  /** Row that it waits for, or of its parent. */
  parent: Int32Array;
  firstChild: Int32Array;
  nextChild: Int32Array;
  previousChild: Int32Array;
  /** Trace row. Before the span is settled: the trace that a descendant asks for, or 0. */
  trace: Int32Array;
  parentLow: Int32Array;
  parentHigh: Int32Array;
  /** The server span whose request it belongs to (client spans), and `proofOf` that. */
  originLow: Int32Array;
  originHigh: Int32Array;
  originProof: Int32Array;
  /** Hash of process and trace context, 0 without. */
  contextLow: Int32Array;
  contextHigh: Int32Array;
  /** Where the span's bytes are: source, after its ids, at its key, its end. */
  source: Int32Array;
  bodyAt: Int32Array;
  keyAt: Int32Array;
  bodyEnd: Int32Array;
  group: Int32Array;
  /** For `deadlines.ts`: the list that it is in, and where. */
  list: Int32Array;
  listAt: Int32Array;

  /** Pairs of a hash and a row; a look-up touches no row whose hash is another. */
  #index: Int32Array;
  #mask: number;
  /** Where the first row stands that was never used. */
  #end = ROW_WORDS;
  /** Freed rows, the last one first; kept apart, since a freed row is not in the cache. */
  #free: Int32Array;
  #freeCount = 0;

  /** `rows`, a power of two: how many are made at first; memory is taken when they are used. */
  constructor(rows: number) {
    this.#words = new Int32Array(rows * ROW_WORDS);
    this.#times = new Float64Array(this.#words.buffer);
    this.#free = new Int32Array(rows);
    this.#index = new Int32Array(rows * PAIRS_PER_ROW * 2);
    this.#mask = rows * PAIRS_PER_ROW - 1;
    this.idLow = this.#field(ID_LOW);
    this.idHigh = this.#field(ID_HIGH);
    this.state = this.#field(STATE);
    this.waits = this.#field(WAITS);
    this.flags = this.#field(FLAGS);
    this.proof = this.#field(PROOF);
    this.parent = this.#field(PARENT);
    this.firstChild = this.#field(FIRST_CHILD);
    this.nextChild = this.#field(NEXT_CHILD);
    this.previousChild = this.#field(PREVIOUS_CHILD);
    this.trace = this.#field(TRACE);
    this.parentLow = this.#field(PARENT_LOW);
    this.parentHigh = this.#field(PARENT_HIGH);
    this.originLow = this.#field(ORIGIN_LOW);
    this.originHigh = this.#field(ORIGIN_HIGH);
    this.originProof = this.#field(ORIGIN_PROOF);
    this.contextLow = this.#field(CONTEXT_LOW);
    this.contextHigh = this.#field(CONTEXT_HIGH);
    this.source = this.#field(SOURCE);
    this.bodyAt = this.#field(BODY_AT);
    this.keyAt = this.#field(KEY_AT);
    this.bodyEnd = this.#field(BODY_END);
    this.group = this.#field(GROUP);
    this.list = this.#field(LIST);
    this.listAt = this.#field(LIST_AT);
  }

  /** Rows in use. */
  get used(): number {
    return this.#end / ROW_WORDS - 1 - this.#freeCount;
  }

  /** The row with this id, or 0. */
  find(low: number, high: number): number {
    return this.#index[this.#pairOf(low, high) * 2 + 1] ?? 0;
  }

  /** The row with this id, made UNSEEN when there is none. */
  need(low: number, high: number): number {
    const pair = this.#pairOf(low, high);
    const found = this.#index[pair * 2 + 1] ?? 0;
    if (found !== 0) return found;
    const index = this.#index;
    const row = this.#allocate(low, high);
    const hash = hashOf(low, high);
    if (this.#index === index) this.#put(pair, hash, row);
    else this.#insert(hash, row);
    return row;
  }

  /**
   * Reads where the id stands in the index, for its cache line: look-ups that depend on nothing
   * wait for memory together, those of spans that are worked on one after the other do not. The
   * result means nothing, but must be used.
   */
  warm(low: number, high: number): number {
    return this.#index[(hashOf(low, high) & this.#mask) * 2] ?? 0;
  }

  setTimes(row: number, startNs: number, endNs: number): void {
    const at = (row + TIMES) >>> 1;
    this.#times[at] = startNs;
    this.#times[at + 1] = endNs;
  }

  startNs(row: number): number {
    return this.#times[(row + TIMES) >>> 1] ?? 0;
  }

  endNs(row: number): number {
    return this.#times[((row + TIMES) >>> 1) + 1] ?? 0;
  }

  /** A row that is not found by its id. */
  detached(low: number, high: number): number {
    const row = this.#allocate(low, high);
    this.flags[row] = DETACHED;
    return row;
  }

  /** Frees a row without children, in no list. */
  release(row: number): void {
    if (((this.flags[row] ?? 0) & DETACHED) === 0) this.#unindex(row);
    this.state[row] = FREE;
    this.#free[this.#freeCount++] = row;
  }

  /** Puts `row` first among what waits for `parent`. */
  attach(row: number, parent: number, waits: number): void {
    const next = this.firstChild[parent] ?? 0;
    this.parent[row] = parent;
    this.waits[row] = waits;
    this.previousChild[row] = 0;
    this.nextChild[row] = next;
    if (next !== 0) this.previousChild[next] = row;
    this.firstChild[parent] = row;
  }

  /** Takes `row` away from what it waits for. */
  detach(row: number): void {
    const waits = this.waits[row] ?? 0;
    this.waits[row] = WAITS_NOTHING;
    if (waits === WAITS_NOTHING || waits === WAITS_CONTEXT) return;
    const parent = this.parent[row] ?? 0;
    const next = this.nextChild[row] ?? 0;
    const previous = this.previousChild[row] ?? 0;
    if (previous === 0) this.firstChild[parent] = next;
    else this.nextChild[previous] = next;
    if (next !== 0) this.previousChild[next] = previous;
    this.parent[row] = 0;
  }

  /** The pair that holds this id, or the empty one where it belongs. */
  #pairOf(low: number, high: number): number {
    const index = this.#index;
    const mask = this.#mask;
    const hash = hashOf(low, high);
    for (let pair = hash & mask; ; pair = (pair + 1) & mask) {
      const row = index[pair * 2 + 1] ?? 0;
      if (row === 0) return pair;
      if (index[pair * 2] !== hash) continue;
      if (this.idLow[row] === low && this.idHigh[row] === high) return pair;
    }
  }

  #put(pair: number, hash: number, row: number): void {
    this.#index[pair * 2] = hash;
    this.#index[pair * 2 + 1] = row;
  }

  #insert(hash: number, row: number): void {
    let pair = hash & this.#mask;
    while (this.#index[pair * 2 + 1] !== 0) pair = (pair + 1) & this.#mask;
    this.#put(pair, hash, row);
  }

  #allocate(low: number, high: number): number {
    let row = 0;
    if (this.#freeCount > 0) {
      row = this.#free[--this.#freeCount] ?? 0;
    } else {
      if (this.#end === this.#words.length) this.#grow();
      row = this.#end;
      this.#end += ROW_WORDS;
    }
    // Times, places in the source and neighbours in lists are set before they are read.
    const words = this.#words;
    words[row + ID_LOW] = low;
    words[row + ID_HIGH] = high;
    words[row + STATE] = UNSEEN;
    words[row + WAITS] = WAITS_NOTHING;
    words[row + FLAGS] = 0;
    words[row + PARENT] = 0;
    words[row + FIRST_CHILD] = 0;
    words[row + TRACE] = 0;
    words[row + LIST] = 0;
    words[row + PARENT_LOW] = 0;
    words[row + PARENT_HIGH] = 0;
    words[row + PROOF] = 0;
    words[row + ORIGIN_PROOF] = 0;
    words[row + ORIGIN_LOW] = 0;
    words[row + ORIGIN_HIGH] = 0;
    words[row + CONTEXT_LOW] = 0;
    words[row + CONTEXT_HIGH] = 0;
    words[row + SOURCE] = 0;
    words[row + GROUP] = 0;
    return row;
  }

  /** Backward-shift deletion: no tombstones, so look-ups stay short however long it runs. */
  #unindex(row: number): void {
    const index = this.#index;
    const mask = this.#mask;
    let hole = hashOf(this.idLow[row] ?? 0, this.idHigh[row] ?? 0) & mask;
    while (index[hole * 2 + 1] !== row) hole = (hole + 1) & mask;
    for (let pair = (hole + 1) & mask; ; pair = (pair + 1) & mask) {
      const moved = index[pair * 2 + 1] ?? 0;
      if (moved === 0) break;
      const hash = index[pair * 2] ?? 0;
      if (((pair - (hash & mask)) & mask) >= ((pair - hole) & mask)) {
        this.#put(hole, hash, moved);
        hole = pair;
      }
    }
    this.#put(hole, 0, 0);
  }

  #field(place: number): Int32Array {
    return new Int32Array(this.#words.buffer, place * Int32Array.BYTES_PER_ELEMENT);
  }

  #grow(): void {
    const words = new Int32Array(this.#words.length * 2);
    words.set(this.#words);
    this.#words = words;
    this.#times = new Float64Array(words.buffer);
    this.idLow = this.#field(ID_LOW);
    this.idHigh = this.#field(ID_HIGH);
    this.state = this.#field(STATE);
    this.waits = this.#field(WAITS);
    this.flags = this.#field(FLAGS);
    this.proof = this.#field(PROOF);
    this.parent = this.#field(PARENT);
    this.firstChild = this.#field(FIRST_CHILD);
    this.nextChild = this.#field(NEXT_CHILD);
    this.previousChild = this.#field(PREVIOUS_CHILD);
    this.trace = this.#field(TRACE);
    this.parentLow = this.#field(PARENT_LOW);
    this.parentHigh = this.#field(PARENT_HIGH);
    this.originLow = this.#field(ORIGIN_LOW);
    this.originHigh = this.#field(ORIGIN_HIGH);
    this.originProof = this.#field(ORIGIN_PROOF);
    this.contextLow = this.#field(CONTEXT_LOW);
    this.contextHigh = this.#field(CONTEXT_HIGH);
    this.source = this.#field(SOURCE);
    this.bodyAt = this.#field(BODY_AT);
    this.keyAt = this.#field(KEY_AT);
    this.bodyEnd = this.#field(BODY_END);
    this.group = this.#field(GROUP);
    this.list = this.#field(LIST);
    this.listAt = this.#field(LIST_AT);
    // Only a table without a free row grows.
    this.#free = new Int32Array(words.length / ROW_WORDS);
    this.#reindex((words.length / ROW_WORDS) * PAIRS_PER_ROW);
  }

  #reindex(pairs: number): void {
    this.#index = new Int32Array(pairs * 2);
    this.#mask = pairs - 1;
    for (let row = ROW_WORDS; row < this.#end; row += ROW_WORDS) {
      if (this.state[row] === FREE || ((this.flags[row] ?? 0) & DETACHED) !== 0) continue;
      this.#insert(hashOf(this.idLow[row] ?? 0, this.idHigh[row] ?? 0), row);
    }
  }
}
