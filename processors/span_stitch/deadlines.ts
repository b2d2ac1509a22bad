// SPDX-License-Identifier: Apache-2.0
import type { Nodes } from "./nodes.ts";

export const LIST_NONE = 0;
/** Waits for what may not exist. */
export const LIST_SHORT = 1;
/** Waits for what is known to come; its bytes still stand in the batch that brought them. */
export const LIST_YOUNG = 2;
/** The same, after a second: its bytes were moved together with other old ones. */
export const LIST_OLD = 3;
/** Sent, and kept for spans that come late. */
export const LIST_REMEMBERED = 4;
const LISTS = 5;

const PLACES_FIRST = 256;

/** Rows in the order in which they came, in a ring; a row that left leaves a hole. */
class Queue {
  /** A power of two of places; 0 is a hole. */
  rows: Int32Array = new Int32Array(PLACES_FIRST);
  /** Whole milliseconds, modulo 2^32. */
  dueMs: Int32Array = new Int32Array(PLACES_FIRST);
  head = 0;
  /** Places from the head on, holes among them. */
  places = 0;
  count = 0;
}

/**
 * Queues of rows. All rows of a list wait equally long, so first in is first due: no heap and no
 * timer a row. A row is in at most one. The queues are no lists through the table: whoever works
 * on several rows can have the memory of all fetched at once.
 */
export class Deadlines {
  readonly #nodes: Nodes;
  readonly #queues: readonly Queue[] = Array.from({ length: LISTS }, () => new Queue());

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  count(list: number): number {
    return this.#queues[list]?.count ?? 0;
  }

  /** Held rows, whatever they wait for. */
  get held(): number {
    return this.count(LIST_SHORT) + this.count(LIST_YOUNG) + this.count(LIST_OLD);
  }

  /** The row that is due first, or 0. */
  first(list: number): number {
    const queue = this.#queues[list];
    if (queue === undefined || queue.count === 0) return 0;
    const mask = queue.rows.length - 1;
    let row = queue.rows[queue.head] ?? 0;
    while (row === 0) {
      queue.head = (queue.head + 1) & mask;
      queue.places--;
      row = queue.rows[queue.head] ?? 0;
    }
    return row;
  }

  /** The first row of `list` when it is due by `nowMs`, or 0. */
  due(list: number, nowMs: number): number {
    const row = this.first(list);
    if (row === 0) return 0;
    const queue = this.#queues[list];
    // Modulo 2^32: no wait is longer than half of that.
    return (((queue?.dueMs[queue.head] ?? 0) - (nowMs | 0)) | 0) <= 0 ? row : 0;
  }

  /** How long until a held row is due, ms; 0 when one is, Infinity when none is held. */
  nextDueMs(nowMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (let list = LIST_SHORT; list <= LIST_OLD; list++) {
      const row = this.first(list);
      if (row === 0) continue;
      next = Math.min(next, Math.max(0, (this.dueMs(row) - (nowMs | 0)) | 0));
    }
    return next;
  }

  /** The row `index` places behind the first, 0 for a hole and behind the end. */
  ahead(list: number, index: number): number {
    const queue = this.#queues[list];
    if (queue === undefined || index >= queue.places) return 0;
    return queue.rows[(queue.head + index) & (queue.rows.length - 1)] ?? 0;
  }

  /** When `row`, which is in a list, is due; whole milliseconds, modulo 2^32. */
  dueMs(row: number): number {
    const nodes = this.#nodes;
    return this.#queues[nodes.list[row] ?? LIST_NONE]?.dueMs[nodes.listAt[row] ?? 0] ?? 0;
  }

  /** Appends; takes the row out of the list that it is in. */
  push(row: number, list: number, dueMs: number): void {
    const nodes = this.#nodes;
    const queue = this.#queues[list];
    if (queue === undefined) return;
    if (nodes.list[row] !== LIST_NONE) this.remove(row);
    if (queue.places === queue.rows.length) this.#makeRoom(queue);
    const at = (queue.head + queue.places) & (queue.rows.length - 1);
    queue.rows[at] = row;
    queue.dueMs[at] = dueMs | 0;
    queue.places++;
    queue.count++;
    nodes.list[row] = list;
    nodes.listAt[row] = at;
  }

  remove(row: number): void {
    const nodes = this.#nodes;
    const list = nodes.list[row] ?? LIST_NONE;
    const queue = this.#queues[list];
    if (list === LIST_NONE || queue === undefined) return;
    queue.rows[nodes.listAt[row] ?? 0] = 0;
    queue.count--;
    nodes.list[row] = LIST_NONE;
  }

  /** Closes the holes; doubles when that gives too little. */
  #makeRoom(queue: Queue): void {
    const { rows, dueMs, head, places } = queue;
    const length = queue.count > rows.length / 2 ? rows.length * 2 : rows.length;
    queue.rows = new Int32Array(length);
    queue.dueMs = new Int32Array(length);
    queue.head = 0;
    queue.places = 0;
    for (let i = 0; i < places; i++) {
      const at = (head + i) & (rows.length - 1);
      const row = rows[at] ?? 0;
      if (row === 0) continue;
      this.#nodes.listAt[row] = queue.places;
      queue.rows[queue.places] = row;
      queue.dueMs[queue.places] = dueMs[at] ?? 0;
      queue.places++;
    }
  }
}
