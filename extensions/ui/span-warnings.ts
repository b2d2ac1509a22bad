// SPDX-License-Identifier: Apache-2.0

const DAY_NS = 86_400e9;

/** What of a span its place in the trace depends on. */
export interface PlacedSpan {
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly offsetNs: number;
}

/** What is odd about each span: see docs/store-api.md. Linear, whatever the parents say. */
export function warningsOf(spans: readonly PlacedSpan[]): readonly (readonly string[])[] {
  const counts = new Map<string, number>();
  for (const { spanId } of spans) counts.set(spanId, (counts.get(spanId) ?? 0) + 1);
  const cycles = cyclic(spans);
  const offsets = spans.map(({ offsetNs }) => offsetNs).sort((one, other) => one - other);
  const median = offsets[offsets.length >> 1] ?? 0;
  return spans.map(({ spanId, parentSpanId, offsetNs }) => {
    const warnings: string[] = [];
    if ((counts.get(spanId) ?? 0) > 1) warnings.push("duplicate_id");
    if (parentSpanId !== "" && parentSpanId === spanId) warnings.push("self_parent");
    else if (cycles.has(spanId)) warnings.push("cycle");
    if (parentSpanId !== "" && !counts.has(parentSpanId)) warnings.push("missing_parent");
    if (Math.abs(offsetNs - median) >= DAY_NS) warnings.push("clock");
    return warnings;
  });
}

/** Ids of the spans that are their own ancestors. */
function cyclic(spans: readonly PlacedSpan[]): ReadonlySet<string> {
  const parents = new Map(spans.map(({ spanId, parentSpanId }) => [spanId, parentSpanId]));
  const done = new Set<string>();
  const found = new Set<string>();
  for (const { spanId } of spans) {
    const way: string[] = [];
    const onWay = new Set<string>();
    let at: string | undefined = spanId;
    while (at !== undefined && at !== "" && parents.has(at) && !done.has(at) && !onWay.has(at)) {
      way.push(at);
      onWay.add(at);
      at = parents.get(at);
    }
    if (at !== undefined && onWay.has(at)) {
      for (const id of way.slice(way.indexOf(at))) found.add(id);
    }
    for (const id of way) done.add(id);
  }
  return found;
}
