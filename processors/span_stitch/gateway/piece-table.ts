// SPDX-License-Identifier: Apache-2.0

/** Words of a row: the client span's id, the trace that it is in, the trace that waits for it. */
const ROW_WORDS = 10;
const CLIENT_TRACE = 2;
const PIECE_TRACE = 6;
const HAS_CLIENT = 1;
const HAS_PIECE = 2;
const AMBIGUOUS = 4;
const JOINED = 8;
/** The piece's root was sent on without a parent. */
const SENT = 16;
const HOPS_MAX = 64;
const TRACE_WORDS = 8;

/** What coming together of a client span and a piece gave. */
export type Joining = "nothing" | "joined" | "late" | "ambiguous" | "cycle";

/** When a span ran, for the comparison of two clocks; `host` is any small number. */
export interface Timing {
  readonly startNs: number;
  readonly endNs: number;
  readonly host: number;
}

/**
 * Which trace continues which: a piece is a trace whose root is a server span that names its client
 * span, seen by another agent. Flat arrays; the newest rows only, the oldest is used again.
 */
export class PieceTable {
  readonly #capacity: number;
  readonly #words: Int32Array;
  readonly #flags: Uint8Array;
  readonly #next: Int32Array;
  readonly #heads: Int32Array;
  readonly #start: Float64Array;
  readonly #end: Float64Array;
  readonly #host: Int32Array;
  /** From a piece's trace to the trace that it continues. */
  readonly #traces: Int32Array;
  readonly #traceUsed: Uint8Array;
  readonly #traceNext: Int32Array;
  readonly #traceHeads: Int32Array;
  #cursor = 0;
  #traceCursor = 0;
  /** Of the other span of what was joined last. */
  readonly other: { startNs: number; endNs: number; host: number } = {
    ...{ startNs: 0, endNs: 0, host: -1 },
  };

  /** Rows, rounded up to a power of two. */
  constructor(rows: number) {
    const capacity = 2 ** Math.ceil(Math.log2(rows));
    this.#capacity = capacity;
    this.#words = new Int32Array(capacity * ROW_WORDS);
    this.#flags = new Uint8Array(capacity);
    this.#next = new Int32Array(capacity).fill(-1);
    this.#heads = new Int32Array(capacity).fill(-1);
    this.#start = new Float64Array(capacity);
    this.#end = new Float64Array(capacity);
    this.#host = new Int32Array(capacity);
    this.#traces = new Int32Array(capacity * TRACE_WORDS);
    this.#traceUsed = new Uint8Array(capacity);
    this.#traceNext = new Int32Array(capacity).fill(-1);
    this.#traceHeads = new Int32Array(capacity).fill(-1);
  }

  /** A client span came: `id` is two words, `trace` four. */
  client(id: Int32Array, trace: Int32Array, timing: Timing): Joining {
    return this.#put(id, trace, { timing, flag: HAS_CLIENT, at: CLIENT_TRACE });
  }

  /** A piece's root came, which names the client span `id`. */
  piece(id: Int32Array, trace: Int32Array, timing: Timing): Joining {
    return this.#put(id, trace, { timing, flag: HAS_PIECE, at: PIECE_TRACE });
  }

  /** Is the piece whose root names `id` joined? What is not has had its time: it goes as it is. */
  isJoined(id: Int32Array): boolean {
    const row = this.#find(id);
    if (row < 0) return false;
    const flags = this.#flags[row] ?? 0;
    if ((flags & JOINED) !== 0 && (flags & AMBIGUOUS) === 0) return true;
    this.#flags[row] = flags | SENT;
    return false;
  }

  /** Replaces a trace id (four words) by that of the whole trace; false when it is the same. */
  resolve(trace: Int32Array): boolean {
    let isChanged = false;
    for (let hop = 0; hop < HOPS_MAX; hop++) {
      const row = this.#findTrace(trace);
      if (row < 0) break;
      for (let word = 0; word < 4; word++) {
        trace[word] = this.#traces[row * TRACE_WORDS + 4 + word] ?? 0;
      }
      isChanged = true;
    }
    return isChanged;
  }

  #put(
    id: Int32Array,
    trace: Int32Array,
    given: { readonly timing: Timing; readonly flag: number; readonly at: number },
  ): Joining {
    let row = this.#find(id);
    if (row < 0) row = this.#take(id);
    const flags = this.#flags[row] ?? 0;
    const at = row * ROW_WORDS + given.at;
    if ((flags & given.flag) !== 0) {
      // The same span once more: it was sent twice, or came as a joint, too.
      if (isSameTrace(this.#words, at, trace, 0)) return "nothing";
      this.#flags[row] = flags | AMBIGUOUS;
      return "ambiguous";
    }
    this.#flags[row] = flags | given.flag;
    for (let word = 0; word < 4; word++) this.#words[at + word] = trace[word] ?? 0;
    if ((flags & (HAS_CLIENT | HAS_PIECE)) === 0) {
      this.#start[row] = given.timing.startNs;
      this.#end[row] = given.timing.endNs;
      this.#host[row] = given.timing.host;
      return "nothing";
    }
    if ((flags & SENT) !== 0) return "late";
    if ((flags & AMBIGUOUS) !== 0) return "ambiguous";
    return this.#join(row);
  }

  readonly #from: Int32Array = new Int32Array(4);
  readonly #to: Int32Array = new Int32Array(4);

  #join(row: number): Joining {
    const at = row * ROW_WORDS;
    for (let word = 0; word < 4; word++) {
      this.#from[word] = this.#words[at + PIECE_TRACE + word] ?? 0;
      this.#to[word] = this.#words[at + CLIENT_TRACE + word] ?? 0;
    }
    this.resolve(this.#to);
    if (isSameTrace(this.#from, 0, this.#to, 0) || this.#findTrace(this.#from) >= 0) return "cycle";
    const traceRow = this.#takeTrace(this.#from);
    for (let word = 0; word < 4; word++) {
      this.#traces[traceRow * TRACE_WORDS + 4 + word] = this.#to[word] ?? 0;
    }
    this.#flags[row] = (this.#flags[row] ?? 0) | JOINED;
    this.other.startNs = this.#start[row] ?? 0;
    this.other.endNs = this.#end[row] ?? 0;
    this.other.host = this.#host[row] ?? -1;
    return "joined";
  }

  #find(id: Int32Array): number {
    let row = this.#heads[this.#head(id, 0, 2)] ?? -1;
    for (; row >= 0; row = this.#next[row] ?? -1) {
      const at = row * ROW_WORDS;
      if (this.#words[at] === id[0] && this.#words[at + 1] === id[1]) return row;
    }
    return -1;
  }

  #findTrace(trace: Int32Array): number {
    let row = this.#traceHeads[this.#head(trace, 0, 4)] ?? -1;
    for (; row >= 0; row = this.#traceNext[row] ?? -1) {
      if (isSameTrace(this.#traces, row * TRACE_WORDS, trace, 0)) return row;
    }
    return -1;
  }

  /** Ids are random or hashes. */
  #head(words: Int32Array, at: number, count: number): number {
    let value = 0;
    for (let word = 0; word < count; word++) {
      value = Math.imul(value ^ (words[at + word] ?? 0), 0x9e3779b1);
    }
    return (value ^ (value >>> 16)) & (this.#capacity - 1);
  }

  #take(id: Int32Array): number {
    const row = this.#cursor;
    this.#cursor = (row + 1) & (this.#capacity - 1);
    const at = row * ROW_WORDS;
    if (this.#flags[row] !== 0) {
      unlink(row, this.#heads, this.#next, this.#head(this.#words, at, 2));
    }
    this.#words[at] = id[0] ?? 0;
    this.#words[at + 1] = id[1] ?? 0;
    this.#flags[row] = 0;
    const head = this.#head(id, 0, 2);
    this.#next[row] = this.#heads[head] ?? -1;
    this.#heads[head] = row;
    return row;
  }

  #takeTrace(trace: Int32Array): number {
    const row = this.#traceCursor;
    this.#traceCursor = (row + 1) & (this.#capacity - 1);
    const at = row * TRACE_WORDS;
    if (this.#traceUsed[row] !== 0) {
      unlink(row, this.#traceHeads, this.#traceNext, this.#head(this.#traces, at, 4));
    }
    this.#traceUsed[row] = 1;
    for (let word = 0; word < 4; word++) this.#traces[at + word] = trace[word] ?? 0;
    const head = this.#head(trace, 0, 4);
    this.#traceNext[row] = this.#traceHeads[head] ?? -1;
    this.#traceHeads[head] = row;
    return row;
  }
}

function isSameTrace(one: Int32Array, at: number, other: Int32Array, otherAt: number): boolean {
  for (let word = 0; word < 4; word++) if (one[at + word] !== other[otherAt + word]) return false;
  return true;
}

function unlink(row: number, heads: Int32Array, next: Int32Array, head: number): void {
  if (heads[head] === row) {
    heads[head] = next[row] ?? -1;
    return;
  }
  let before = heads[head] ?? -1;
  while (before >= 0 && next[before] !== row) before = next[before] ?? -1;
  if (before >= 0) next[before] = next[row] ?? -1;
}
