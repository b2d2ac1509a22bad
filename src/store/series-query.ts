// SPDX-License-Identifier: Apache-2.0
import { DURATION_BUCKETS } from "./duration-buckets.ts";
import type { QueryClock } from "./query-clock.ts";
import type { EdgeNames, MapNode, OperationNames, ReadTally, Tally } from "./series-format.ts";
import type { StoreReader } from "./store-reader.ts";

/** Different operations, or edges, that one query adds up. */
const KEYS_MAX = 20_000;

export interface TimeRange {
  readonly startMs: number;
  readonly endMs: number;
}

/** What is added up over a time. */
export interface Summed<T> {
  readonly tally: Tally;
  /** The first one that was seen: its names. */
  readonly one: T;
}

export interface SeriesSum {
  readonly operations: readonly Summed<OperationNames>[];
  readonly edges: readonly Summed<EdgeNames>[];
  readonly truncated: boolean;
}

/** What to do with each interval besides adding it up. */
export type OperationVisitor = (one: OperationNames & ReadTally, startMs: number) => void;

/** Adds up the intervals of a time. `visit` sees each operation with the time of its interval. */
export async function sumSeries(
  reader: StoreReader,
  { range, clock }: { readonly range: TimeRange; readonly clock: QueryClock },
  visit: OperationVisitor = () => undefined,
): Promise<SeriesSum> {
  const operations = new Map<string, Summed<OperationNames>>();
  const edges = new Map<string, Summed<EdgeNames>>();
  let truncated = false;
  // Newest first: when the time is up, it is the oldest that is missing.
  for (const file of reader.series().toReversed()) {
    for (const interval of file.intervals(range.startMs, range.endMs)) {
      if (clock.isOver) return result(operations, edges, true);
      await clock.breathe();
      for (const one of interval.operations) {
        visit(one, interval.startMs);
        const key = `${one.kind} ${one.service.length} ${one.service}${one.operation}`;
        truncated = !addTo(operations, key, one) || truncated;
      }
      for (const one of interval.edges) {
        const key = `${nodeKey(one.from)}${nodeKey(one.to)}${one.protocol}`;
        truncated = !addTo(edges, key, one) || truncated;
      }
    }
  }
  return result(operations, edges, truncated);
}

export function emptyTally(): Tally {
  const buckets = new Uint32Array(DURATION_BUCKETS);
  return { requests: 0, errors: 0, rewritten: 0, buckets };
}

export function addTally(sum: Tally, { requests, errors, rewritten, pairs }: ReadTally): void {
  sum.requests += requests;
  sum.errors += errors;
  sum.rewritten += rewritten;
  for (let at = 0; at < pairs.length; at += 2) {
    const bucket = pairs[at] ?? 0;
    sum.buckets[bucket] = (sum.buckets[bucket] ?? 0) + (pairs[at + 1] ?? 0);
  }
}

/** The same of what is added up already. */
export function addSum(sum: Tally, { requests, errors, rewritten, buckets }: Tally): void {
  sum.requests += requests;
  sum.errors += errors;
  sum.rewritten += rewritten;
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    sum.buckets[bucket] = (sum.buckets[bucket] ?? 0) + (buckets[bucket] ?? 0);
  }
}

/** Different nodes have different keys, whatever their names. */
function nodeKey({ kind, system, name }: MapNode): string {
  return `${kind} ${system.length} ${system}${name.length} ${name}`;
}

/** False when there is no room for one more key. */
function addTo<T>(sums: Map<string, Summed<T>>, key: string, one: T & ReadTally): boolean {
  let sum = sums.get(key);
  if (sum === undefined) {
    if (sums.size >= KEYS_MAX) return false;
    sum = { tally: emptyTally(), one };
    sums.set(key, sum);
  }
  addTally(sum.tally, one);
  return true;
}

function result(
  operations: ReadonlyMap<string, Summed<OperationNames>>,
  edges: ReadonlyMap<string, Summed<EdgeNames>>,
  truncated: boolean,
): SeriesSum {
  return { operations: [...operations.values()], edges: [...edges.values()], truncated };
}
