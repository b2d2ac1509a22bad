// SPDX-License-Identifier: Apache-2.0
import type { SpanContext, SpanView } from "../pdata/span-view.ts";
import { traceHashOf } from "./columns.ts";
import type { QueryClock } from "./query-clock.ts";
import type { StoreReader } from "./store-reader.ts";

const BLOCKS_READ_MAX = 10_000;

/** What is left of a visit when it had to end early. */
export interface TraceVisit {
  readonly found: number;
  readonly truncated: boolean;
}

/** A trace id as the 16 bytes that it stands for; shorter ones get zeros in front. */
export function traceIdBytes(hex: string): Buffer | undefined {
  if (!/^[0-9a-fA-F]{1,32}$/.test(hex)) return undefined;
  return Buffer.from(hex.padStart(32, "0"), "hex");
}

/**
 * Visits the spans of a trace, of the newest blocks first. The view and its bytes are valid during
 * the visit; a visitor that returns false ends it.
 */
export async function visitTrace(
  reader: StoreReader,
  { traceId, clock }: { readonly traceId: Buffer; readonly clock: QueryClock },
  visit: (span: SpanView, context: SpanContext) => boolean,
): Promise<TraceVisit> {
  const hash = traceHashOf(traceId, 0);
  let found = 0;
  let blocks = 0;
  let isEnded = false;
  for (const segment of reader.segments()) {
    for (const block of segment.blocksOfTrace(hash)) {
      if (clock.isOver || isEnded || ++blocks > BLOCKS_READ_MAX) return { found, truncated: true };
      await clock.breathe();
      segment.spans(block)?.visitTrace(traceId, (span, context) => {
        found++;
        if (!isEnded && !visit(span, context)) isEnded = true;
      });
    }
  }
  return { found, truncated: isEnded };
}
