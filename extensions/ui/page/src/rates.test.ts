// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccountLine } from "./api-types.ts";
import { flowOf, ratesBetween } from "./rates.ts";

function line(changes: Partial<AccountLine>): AccountLine {
  return {
    component: "batch",
    kind: "processor",
    metric: "otelcol_processor_incoming_items",
    labels: { otel_signal: "traces" },
    meaning: "in",
    value: 0,
    ...changes,
  };
}

test("a rate is what a counter grew by, and a counter that fell began anew", () => {
  const key = (rates: ReadonlyMap<string, number>): number[] => [...rates.values()];
  assert.deepEqual(key(ratesBetween([line({ value: 10 })], [line({ value: 30 })], 2)), [10]);
  assert.deepEqual(key(ratesBetween([line({ value: 10 })], [line({ value: 4 })], 2)), [2]);
  assert.deepEqual(key(ratesBetween([], [line({ value: 4 })], 2)), []);
});

test("a component's flow is of its signal only, and what the account does not say stays unknown", () => {
  const before = [line({}), line({ labels: { otel_signal: "metrics" } })];
  const now = [
    line({ value: 8 }),
    line({ labels: { otel_signal: "metrics" }, value: 100 }),
    line({ meaning: "lost", metric: "backstitch_exporter_dropped_spans", labels: {}, value: 3 }),
    line({
      meaning: "lost",
      metric: "backstitch_exporter_dropped_metric_points",
      labels: {},
      value: 5,
    }),
  ];
  const of = { component: "batch", kind: "processor", signal: "traces" };
  assert.deepEqual(flowOf(now, ratesBetween(before, now, 4), of), {
    inRate: 2,
    outRate: undefined,
    lost: 3,
    held: undefined,
  });
});
