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

const ROWS_FIRST = 4096;
/** At most half of the index is in use. */
const PAIRS_PER_ROW = 2;

function hashOf(low: number, high: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

function grown<T extends Uint8Array | Int32Array | Float64Array>(to: T, from: T): T {
  to.set(from);
  return to;
}

/**
 * The table of spans: a row a span, columns in typed arrays, found by 8-byte id in an open
 * addressing index with linear probing. Row 0 is none. Grows by doubling; who inserts keeps the
 * bound. Rows below one parent are a doubly linked list.
 */
export class Nodes {
  idLow: Int32Array = new Int32Array(ROWS_FIRST);
  idHigh: Int32Array = new Int32Array(ROWS_FIRST);
  state: Uint8Array = new Uint8Array(ROWS_FIRST);
  waits: Uint8Array = new Uint8Array(ROWS_FIRST);
  flags: Uint8Array = new Uint8Array(ROWS_FIRST);
  /** Of the link to the parent; percent. */
  evidence: Uint8Array = new Uint8Array(ROWS_FIRST);
  percent: Uint8Array = new Uint8Array(ROWS_FIRST);
  /** Row that it waits for, or of its parent. */
  parent: Int32Array = new Int32Array(ROWS_FIRST);
  firstChild: Int32Array = new Int32Array(ROWS_FIRST);
  nextChild: Int32Array = new Int32Array(ROWS_FIRST);
  previousChild: Int32Array = new Int32Array(ROWS_FIRST);
  /** Trace row. Before the span is settled: the trace that a descendant asks for, or 0. */
  trace: Int32Array = new Int32Array(ROWS_FIRST);
  parentLow: Int32Array = new Int32Array(ROWS_FIRST);
  parentHigh: Int32Array = new Int32Array(ROWS_FIRST);
  /** The server span whose request it belongs to (client spans), by which evidence, percent. */
  originLow: Int32Array = new Int32Array(ROWS_FIRST);
  originHigh: Int32Array = new Int32Array(ROWS_FIRST);
  originEvidence: Uint8Array = new Uint8Array(ROWS_FIRST);
  originPercent: Uint8Array = new Uint8Array(ROWS_FIRST);
  /** Hash of process and trace context, 0 without. */
  contextLow: Int32Array = new Int32Array(ROWS_FIRST);
  contextHigh: Int32Array = new Int32Array(ROWS_FIRST);
  startNs: Float64Array = new Float64Array(ROWS_FIRST);
  endNs: Float64Array = new Float64Array(ROWS_FIRST);
  /** Where the span's bytes are: source, after its ids, at its key, its end. */
  source: Int32Array = new Int32Array(ROWS_FIRST);
  bodyAt: Int32Array = new Int32Array(ROWS_FIRST);
  keyAt: Int32Array = new Int32Array(ROWS_FIRST);
  bodyEnd: Int32Array = new Int32Array(ROWS_FIRST);
  group: Int32Array = new Int32Array(ROWS_FIRST);
  /** For `deadlines.ts`. */
  list: Uint8Array = new Uint8Array(ROWS_FIRST);
  listNext: Int32Array = new Int32Array(ROWS_FIRST);
  listPrevious: Int32Array = new Int32Array(ROWS_FIRST);
  dueMs: Float64Array = new Float64Array(ROWS_FIRST);

  /** Pairs of a hash and a row; a look-up touches no row whose hash is another. */
  #index: Int32Array = new Int32Array(ROWS_FIRST * PAIRS_PER_ROW * 2);
  #mask = ROWS_FIRST * PAIRS_PER_ROW - 1;
  #rows = 1;
  #free = 0;
  #used = 0;

  /** Rows in use. */
  get used(): number {
    return this.#used;
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
    const rows = this.state.length;
    const row = this.#allocate(low, high);
    const hash = hashOf(low, high);
    if (this.state.length === rows) this.#put(pair, hash, row);
    else this.#insert(hash, row);
    return row;
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
    this.parent[row] = this.#free;
    this.#free = row;
    this.#used--;
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
    let row = this.#free;
    if (row !== 0) {
      this.#free = this.parent[row] ?? 0;
    } else {
      if (this.#rows === this.state.length) this.#grow();
      row = this.#rows++;
    }
    this.#used++;
    this.idLow[row] = low;
    this.idHigh[row] = high;
    this.state[row] = UNSEEN;
    this.#clear(row);
    return row;
  }

  #clear(row: number): void {
    this.waits[row] = WAITS_NOTHING;
    this.flags[row] = 0;
    this.evidence[row] = 0;
    this.percent[row] = 0;
    this.parent[row] = 0;
    this.firstChild[row] = 0;
    this.trace[row] = 0;
    this.parentLow[row] = 0;
    this.parentHigh[row] = 0;
    this.originLow[row] = 0;
    this.originHigh[row] = 0;
    this.originEvidence[row] = 0;
    this.originPercent[row] = 0;
    this.contextLow[row] = 0;
    this.contextHigh[row] = 0;
    this.source[row] = 0;
    this.group[row] = 0;
    this.list[row] = 0;
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

  #grow(): void {
    const rows = this.state.length * 2;
    this.idLow = grown(new Int32Array(rows), this.idLow);
    this.idHigh = grown(new Int32Array(rows), this.idHigh);
    this.state = grown(new Uint8Array(rows), this.state);
    this.waits = grown(new Uint8Array(rows), this.waits);
    this.flags = grown(new Uint8Array(rows), this.flags);
    this.evidence = grown(new Uint8Array(rows), this.evidence);
    this.percent = grown(new Uint8Array(rows), this.percent);
    this.parent = grown(new Int32Array(rows), this.parent);
    this.firstChild = grown(new Int32Array(rows), this.firstChild);
    this.nextChild = grown(new Int32Array(rows), this.nextChild);
    this.previousChild = grown(new Int32Array(rows), this.previousChild);
    this.trace = grown(new Int32Array(rows), this.trace);
    this.parentLow = grown(new Int32Array(rows), this.parentLow);
    this.parentHigh = grown(new Int32Array(rows), this.parentHigh);
    this.originLow = grown(new Int32Array(rows), this.originLow);
    this.originHigh = grown(new Int32Array(rows), this.originHigh);
    this.originEvidence = grown(new Uint8Array(rows), this.originEvidence);
    this.originPercent = grown(new Uint8Array(rows), this.originPercent);
    this.contextLow = grown(new Int32Array(rows), this.contextLow);
    this.contextHigh = grown(new Int32Array(rows), this.contextHigh);
    this.startNs = grown(new Float64Array(rows), this.startNs);
    this.endNs = grown(new Float64Array(rows), this.endNs);
    this.source = grown(new Int32Array(rows), this.source);
    this.bodyAt = grown(new Int32Array(rows), this.bodyAt);
    this.keyAt = grown(new Int32Array(rows), this.keyAt);
    this.bodyEnd = grown(new Int32Array(rows), this.bodyEnd);
    this.group = grown(new Int32Array(rows), this.group);
    this.list = grown(new Uint8Array(rows), this.list);
    this.listNext = grown(new Int32Array(rows), this.listNext);
    this.listPrevious = grown(new Int32Array(rows), this.listPrevious);
    this.dueMs = grown(new Float64Array(rows), this.dueMs);
    this.#reindex(rows * PAIRS_PER_ROW);
  }

  #reindex(pairs: number): void {
    this.#index = new Int32Array(pairs * 2);
    this.#mask = pairs - 1;
    for (let row = 1; row < this.#rows; row++) {
      if (this.state[row] === FREE || ((this.flags[row] ?? 0) & DETACHED) !== 0) continue;
      this.#insert(hashOf(this.idLow[row] ?? 0, this.idHigh[row] ?? 0), row);
    }
  }
}
