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

/**
 * Queues of rows. All rows of a list wait equally long, so first in is first due: a doubly
 * linked list through the table, a row in at most one, no heap and no timer a row.
 */
export class Deadlines {
  readonly #nodes: Nodes;
  readonly #first: Int32Array = new Int32Array(LISTS);
  readonly #last: Int32Array = new Int32Array(LISTS);
  readonly #count: Int32Array = new Int32Array(LISTS);

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  count(list: number): number {
    return this.#count[list] ?? 0;
  }

  /** Held rows, whatever they wait for. */
  get held(): number {
    return this.count(LIST_SHORT) + this.count(LIST_YOUNG) + this.count(LIST_OLD);
  }

  /** The row that is due first, or 0. */
  first(list: number): number {
    return this.#first[list] ?? 0;
  }

  /** The first row of `list` when it is due by `nowMs`, or 0. */
  due(list: number, nowMs: number): number {
    const row = this.#first[list] ?? 0;
    if (row === 0) return 0;
    // Modulo 2^32: no wait is longer than half of that.
    return (((this.#nodes.dueMs[row] ?? 0) - (nowMs | 0)) | 0) <= 0 ? row : 0;
  }

  /** Appends; takes the row out of the list that it is in. */
  push(row: number, list: number, dueMs: number): void {
    const nodes = this.#nodes;
    if (nodes.list[row] !== LIST_NONE) this.remove(row);
    const last = this.#last[list] ?? 0;
    nodes.list[row] = list;
    nodes.dueMs[row] = dueMs | 0;
    nodes.listNext[row] = 0;
    nodes.listPrevious[row] = last;
    if (last === 0) this.#first[list] = row;
    else nodes.listNext[last] = row;
    this.#last[list] = row;
    this.#count[list] = this.count(list) + 1;
  }

  remove(row: number): void {
    const nodes = this.#nodes;
    const list = nodes.list[row] ?? LIST_NONE;
    if (list === LIST_NONE) return;
    const next = nodes.listNext[row] ?? 0;
    const previous = nodes.listPrevious[row] ?? 0;
    if (previous === 0) this.#first[list] = next;
    else nodes.listNext[previous] = next;
    if (next === 0) this.#last[list] = previous;
    else nodes.listPrevious[next] = previous;
    nodes.list[row] = LIST_NONE;
    this.#count[list] = this.count(list) - 1;
  }
}
