// SPDX-License-Identifier: Apache-2.0
import type { QueryClock } from "../../src/store/query-clock.ts";
import { sumSeries } from "../../src/store/series-query.ts";
import type { StoreReader } from "../../src/store/store-reader.ts";

const DAY_MS = 86_400_000;
const OPERATIONS_MAX = 50_000;

export interface CatalogOperation {
  readonly service: string;
  readonly name: string;
  readonly kind: number;
}

/** Services and operations of the last day. Reads what came since it was asked last. */
export class Catalog {
  readonly #known = new Map<string, CatalogOperation>();
  #readMs = 0;

  async operations(
    store: StoreReader,
    { clock, nowMs }: { readonly clock: QueryClock; readonly nowMs: number },
  ): Promise<readonly CatalogOperation[]> {
    const range = { startMs: Math.max(this.#readMs, nowMs - DAY_MS), endMs: nowMs + DAY_MS };
    let latestMs = this.#readMs;
    const { truncated } = await sumSeries(store, { range, clock }, (one, startMs) => {
      latestMs = Math.max(latestMs, startMs);
      const key = JSON.stringify([one.service, one.operation, one.kind]);
      if (this.#known.has(key) || this.#known.size >= OPERATIONS_MAX) return;
      const { service, operation: name, kind } = one;
      this.#known.set(key, { service, name, kind });
    });
    if (!truncated) this.#readMs = latestMs;
    return [...this.#known.values()];
  }
}
