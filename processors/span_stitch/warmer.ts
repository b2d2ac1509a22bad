// SPDX-License-Identifier: Apache-2.0
import { awaitsPeer, idWord } from "./key.ts";
import type { Scanner } from "./scan.ts";
import type { Tables } from "./settler.ts";

/** Rows whose memory is fetched together. */
export const WARM_ROWS = 32;

/** Touches what work on several spans will need, so that their memory comes together: see `Nodes.warm`. */
export class Warmer {
  readonly #tables: Tables;
  readonly #parents: Int32Array = new Int32Array(WARM_ROWS);
  /** Of no meaning: what is read only to have it in the cache must go somewhere. */
  warmed = 0;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** For the scanner's spans from `first` to before `end`. */
  spans(scanner: Scanner, first: number, end: number, bytes: Uint8Array): void {
    const { nodes } = this.#tables;
    let sum = 0;
    for (let i = first; i < end; i++) {
      const keyAt = scanner.keyAt[i] ?? 0;
      sum ^= nodes.warm(idWord(bytes, keyAt, 0), idWord(bytes, keyAt, 1));
      if (!awaitsPeer(bytes, keyAt)) continue;
      sum ^= nodes.warm(idWord(bytes, keyAt, 2), idWord(bytes, keyAt, 3));
    }
    this.warmed = sum;
  }

  /** For the next rows of a list that are to go on without what they wait for. */
  waiting(list: number): void {
    const { nodes, deadlines } = this.#tables;
    const parents = this.#parents;
    let sum = 0;
    // Short loops, each over what the last one fetched: more of it is under way at once.
    for (let i = 0; i < WARM_ROWS; i++) parents[i] = nodes.parent[deadlines.ahead(list, i)] ?? 0;
    for (let i = 0; i < WARM_ROWS; i++) sum ^= nodes.idLow[parents[i] ?? 0] ?? 0;
    for (let i = 0; i < WARM_ROWS; i++) {
      const parent = parents[i] ?? 0;
      sum ^= nodes.warm(nodes.idLow[parent] ?? 0, nodes.idHigh[parent] ?? 0);
    }
    this.warmed = sum;
  }

  /** For the next rows of a list that are to be forgotten. */
  forgotten(list: number): void {
    const { nodes, deadlines, traces } = this.#tables;
    let sum = 0;
    for (let i = 0; i < WARM_ROWS; i++) sum ^= nodes.idLow[deadlines.ahead(list, i)] ?? 0;
    for (let i = 0; i < WARM_ROWS; i++) {
      const row = deadlines.ahead(list, i);
      sum ^= nodes.warm(nodes.idLow[row] ?? 0, nodes.idHigh[row] ?? 0);
      sum ^= traces.spans(nodes.trace[row] ?? 0);
    }
    this.warmed = sum;
  }
}
