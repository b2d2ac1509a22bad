// SPDX-License-Identifier: Apache-2.0
import { type Deadlines, LIST_REMEMBERED } from "./deadlines.ts";
import { contextWord } from "./key.ts";
import { AMBIGUOUS, CONTEXT, type Nodes, UNSEEN } from "./nodes.ts";

const WORDS = 6;

/**
 * Server spans by the trace context that their request carried, for one process each: rows in
 * the table of spans whose id is a hash of process and context.
 */
export class Contexts {
  readonly #nodes: Nodes;
  readonly #deadlines: Deadlines;

  constructor(nodes: Nodes, deadlines: Deadlines) {
    this.#nodes = nodes;
    this.#deadlines = deadlines;
  }

  /** Hashes the context of `row`; its `stitch.key` field starts at `keyAt`. */
  read(row: number, pid: number, bytes: Uint8Array, keyAt: number): void {
    let low = pid ^ 0x2545f491;
    let high = Math.imul(pid, 0x9e3779b1);
    for (let word = 0; word < WORDS; word++) {
      const value = contextWord(bytes, keyAt, word * 4);
      low = Math.imul(low ^ value, 0x85ebca6b);
      low ^= low >>> 13;
      high = Math.imul(high ^ value ^ (low << 1), 0xc2b2ae35);
      high ^= high >>> 16;
    }
    this.#nodes.contextLow[row] = low;
    // Never zero, which means no context.
    this.#nodes.contextHigh[row] = high | 1;
  }

  /** Lets client spans with the same context in the same process find this server span. */
  publish(server: number, dueMs: number): void {
    const nodes = this.#nodes;
    const row = nodes.need(nodes.contextLow[server] ?? 0, nodes.contextHigh[server] ?? 0);
    if (nodes.state[row] === UNSEEN && nodes.firstChild[row] === 0) {
      nodes.state[row] = CONTEXT;
      nodes.originLow[row] = nodes.idLow[server] ?? 0;
      nodes.originHigh[row] = nodes.idHigh[server] ?? 0;
    } else nodes.flags[row] = (nodes.flags[row] ?? 0) | AMBIGUOUS;
    if (nodes.state[row] === CONTEXT) this.#deadlines.push(row, LIST_REMEMBERED, dueMs);
  }

  /** The one server span with the context of `row`; 0 when there is none, or several. */
  serverOf(row: number): number {
    const nodes = this.#nodes;
    const found = nodes.find(nodes.contextLow[row] ?? 0, nodes.contextHigh[row] ?? 0);
    if (found === 0 || nodes.state[found] !== CONTEXT) return 0;
    if (((nodes.flags[found] ?? 0) & AMBIGUOUS) !== 0) return 0;
    return nodes.find(nodes.originLow[found] ?? 0, nodes.originHigh[found] ?? 0);
  }
}
