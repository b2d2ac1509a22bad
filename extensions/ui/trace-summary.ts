// SPDX-License-Identifier: Apache-2.0
import type { QueryClock } from "../../src/store/query-clock.ts";
import type { StoreReader } from "../../src/store/store-reader.ts";
import { visitTrace } from "../../src/store/trace.ts";
import { spanRow } from "./span-row.ts";

const SERVICES_MAX = 20;
/** Services that are counted at all. */
const SERVICES_COUNTED_MAX = 1_000;

/** What a row of a list shows of a trace; undefined when the store does not have it. */
export async function summarizeTrace(
  store: StoreReader,
  traceId: Buffer,
  clock: QueryClock,
): Promise<object | undefined> {
  const services = new Map<string, number>();
  let root: ReturnType<typeof spanRow> | undefined;
  let first: ReturnType<typeof spanRow> | undefined;
  /** From `baseUs`: epoch nanoseconds are too large to be exact. */
  let endNs = 0;
  let baseUs = 0;
  let errors = 0;
  let spans = 0;
  await visitTrace(store, { traceId, clock }, (span, context) => {
    const row = spanRow(span, context);
    spans++;
    if (row.status === 2) errors++;
    if (services.has(row.service) || services.size < SERVICES_COUNTED_MAX) {
      services.set(row.service, (services.get(row.service) ?? 0) + 1);
    }
    if (first === undefined || row.startUs < first.startUs) first = row;
    const isRoot = row.parentSpanId === "";
    if (isRoot && (root === undefined || row.startUs < root.startUs)) root = row;
    if (spans === 1) baseUs = row.startUs;
    endNs = Math.max(endNs, (row.startUs - baseUs) * 1000 + row.durationNs);
    return true;
  });
  if (first === undefined) return undefined;
  const { startUs } = first;
  const top = root ?? first;
  return {
    traceId: traceId.toString("hex"),
    rootService: top.service,
    rootName: top.name,
    startUs,
    durationNs: endNs - (startUs - baseUs) * 1000,
    spans,
    errors,
    services: [...services]
      .sort(([, one], [, other]) => other - one)
      .slice(0, SERVICES_MAX)
      .map(([name, count]) => ({ name, spans: count })),
  };
}
