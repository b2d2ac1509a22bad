// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PatternCounts } from "./pattern-counts.ts";

test("a pattern is as probable as it was frequent, whatever the order of its calls", () => {
  const kinds = Int32Array.from([0, 1, 0, 1]);
  const counts = new PatternCounts();
  for (let i = 0; i < 300; i++) counts.add([0, 1], kinds);
  for (let i = 0; i < 100; i++) counts.add([], kinds);
  counts.refresh();
  assert.ok(Math.abs(Math.exp(counts.logProbability([1, 2], kinds)) - 0.75) < 0.05);
  assert.ok(Math.abs(Math.exp(counts.logProbability([], kinds)) - 0.25) < 0.05);
  assert.ok(counts.logProbability([0, 1, 2], kinds) < -5);
});

test("a prefix is as probable as handlers that make at least that many calls of its kind", () => {
  const kinds = Int32Array.from([0, 0, 0]);
  const counts = new PatternCounts();
  for (let i = 0; i < 200; i++) counts.add(i % 2 === 0 ? [0] : [0, 1], kinds);
  counts.refresh();
  assert.ok(Math.abs(Math.exp(counts.logContinues([0], kinds)) - 1) < 0.05);
  assert.ok(Math.abs(Math.exp(counts.logContinues([0, 1], kinds)) - 0.5) < 0.05);
  assert.ok(counts.logContinues([0, 1, 2], kinds) < -4);
});

test("any handlers whatever give finite logarithms not above zero, in bounded time", () => {
  const handler = fc.array(fc.nat(63), { maxLength: 40 });
  fc.assert(
    fc.property(fc.array(handler, { maxLength: 30 }), handler, (learnt, asked) => {
      const kinds = Int32Array.from({ length: 64 }, (_, i) => i % 5);
      const counts = new PatternCounts();
      for (const children of learnt) counts.add(children, kinds);
      counts.refresh();
      const log = counts.logProbability(asked, kinds);
      return Number.isFinite(log) && log <= 1e-9;
    }),
  );
});
