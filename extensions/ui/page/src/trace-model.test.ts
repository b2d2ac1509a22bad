// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Trace, TraceSpan } from "./api-types.ts";
import { createTraceModel, type TraceModel, visibleRows } from "./trace-model.ts";

const DAY_NS = 86_400e9;

function traceOf(spans: readonly Partial<TraceSpan>[]): Trace {
  return {
    traceId: "t",
    startUs: 0,
    durationNs: 0,
    resources: [{ service: "shop", attributes: [] }],
    scopes: [],
    spans: spans.map((span) => ({
      spanId: "",
      parentSpanId: "",
      name: "",
      resource: 0,
      scope: 0,
      kind: "server",
      status: "unset",
      statusMessage: "",
      offsetNs: 0,
      durationNs: 100,
      attributes: [],
      events: [],
      links: [],
      evidence: "",
      confidence: null,
      warnings: [],
      ...span,
    })),
    spansTotal: spans.length,
    truncated: false,
  };
}

function problemsOf(model: TraceModel, spanId: string): readonly string[] {
  return model.nodes.find((node) => node.spanId === spanId)?.problems ?? [];
}

test("children stand below their parent, by start", () => {
  const model = createTraceModel(
    traceOf([
      { spanId: "late", parentSpanId: "root", offsetNs: 50 },
      { spanId: "root" },
      { spanId: "early", parentSpanId: "root", offsetNs: 10, status: "error" },
      { spanId: "leaf", parentSpanId: "early", offsetNs: 20 },
    ]),
  );
  const names = visibleRows(model, new Set()).map((index) => model.nodes[index]?.spanId);
  assert.deepEqual(names, ["root", "early", "leaf", "late"]);
  assert.deepEqual(
    model.nodes.map(({ depth }) => depth),
    [1, 0, 1, 2],
  );
  const root = model.nodes[1];
  assert.deepEqual([root?.below, root?.errorsBelow], [3, 1]);
  const folded = visibleRows(model, new Set([2])).map((index) => model.nodes[index]?.spanId);
  assert.deepEqual(folded, ["root", "early", "late"]);
});

test("spans of one missing parent stand together below a row for it", () => {
  const model = createTraceModel(
    traceOf([
      { spanId: "a", parentSpanId: "gone", offsetNs: 5 },
      { spanId: "b", parentSpanId: "gone", offsetNs: 9 },
    ]),
  );
  assert.equal(model.nodes.length, 3);
  assert.equal(model.nodes[2]?.span, undefined);
  assert.deepEqual(model.nodes[2]?.children, [0, 1]);
  assert.deepEqual(problemsOf(model, "a"), ["missing_parent"]);
});

test("a span that is its own parent is a root, and a ring is cut at its earliest span", () => {
  const model = createTraceModel(
    traceOf([
      { spanId: "self", parentSpanId: "self" },
      { spanId: "x", parentSpanId: "z", offsetNs: 30 },
      { spanId: "y", parentSpanId: "x", offsetNs: 10 },
      { spanId: "z", parentSpanId: "y", offsetNs: 20 },
    ]),
  );
  assert.deepEqual(problemsOf(model, "self"), ["self_parent"]);
  assert.deepEqual(problemsOf(model, "y"), ["cycle"]);
  assert.deepEqual(
    model.roots.map((index) => model.nodes[index]?.spanId),
    ["self", "y"],
  );
  assert.equal(visibleRows(model, new Set()).length, 4);
});

test("of two spans with one id the first is the parent, and the second is marked", () => {
  const model = createTraceModel(
    traceOf([{ spanId: "a" }, { spanId: "a" }, { spanId: "b", parentSpanId: "a" }]),
  );
  assert.deepEqual(model.nodes[0]?.children, [2]);
  assert.deepEqual(model.nodes[1]?.problems, ["duplicate_id"]);
});

test("a clock that is years off does not stretch the axis", () => {
  const years = 50 * 365 * DAY_NS;
  const model = createTraceModel(
    traceOf([
      { spanId: "epoch", offsetNs: 0 },
      { spanId: "a", offsetNs: years, durationNs: 1_000 },
      { spanId: "b", parentSpanId: "a", offsetNs: years + 100, durationNs: 500 },
      { spanId: "endless", parentSpanId: "a", offsetNs: years + 100, durationNs: 30 * DAY_NS },
    ]),
  );
  assert.deepEqual([model.startNs, model.endNs], [years, years + 1_000]);
  assert.deepEqual(problemsOf(model, "epoch"), ["clock"]);
  assert.deepEqual(problemsOf(model, "endless"), ["clock"]);
});

test("the critical path is what was waited for, without gaps, and ends with the root", () => {
  const model = createTraceModel(
    traceOf([
      { spanId: "root", offsetNs: 0, durationNs: 100 },
      { spanId: "first", parentSpanId: "root", offsetNs: 10, durationNs: 30 },
      { spanId: "aside", parentSpanId: "root", offsetNs: 10, durationNs: 20 },
      { spanId: "last", parentSpanId: "root", offsetNs: 50, durationNs: 40 },
      { spanId: "inner", parentSpanId: "last", offsetNs: 60, durationNs: 10 },
    ]),
  );
  const parts = model.critical.map(({ node, startNs, endNs }) => [
    model.nodes[node]?.spanId,
    startNs,
    endNs,
  ]);
  assert.deepEqual(parts, [
    ["root", 0, 10],
    ["first", 10, 40],
    ["root", 40, 50],
    ["last", 50, 60],
    ["inner", 60, 70],
    ["last", 70, 90],
    ["root", 90, 100],
  ]);
});

test("a chain of 100,000 spans is neither too deep nor too slow", () => {
  const spans = Array.from({ length: 100_000 }, (_, at) => ({
    spanId: String(at),
    parentSpanId: at === 0 ? "" : String(at - 1),
    offsetNs: at,
    durationNs: 200_000 - 2 * at,
  }));
  const model = createTraceModel(traceOf(spans));
  assert.equal(model.nodes.at(-1)?.depth, 99_999);
  assert.equal(visibleRows(model, new Set()).length, 100_000);
});

test("whatever spans claim, each is shown once and the critical path stays in the axis", () => {
  const id = fc.constantFrom("a", "b", "c", "d", "e", "f", "");
  const span = fc.record({
    spanId: id,
    parentSpanId: id,
    offsetNs: fc.oneof(fc.nat(1_000), fc.constantFrom(Number.NaN, -5, 1e18, 90 * DAY_NS)),
    durationNs: fc.oneof(fc.nat(1_000), fc.constantFrom(-7, 1e18, Number.NaN)),
  });
  fc.assert(
    fc.property(fc.array(span, { maxLength: 24 }), (spans) => {
      const model = createTraceModel(traceOf(spans));
      const rows = visibleRows(model, new Set());
      assert.equal(new Set(rows).size, rows.length);
      assert.equal(rows.length, model.nodes.length);
      assert.ok(model.endNs > model.startNs);
      let beforeNs = model.startNs;
      for (const { startNs, endNs } of model.critical) {
        assert.ok(startNs >= beforeNs && endNs > startNs && endNs <= model.endNs);
        beforeNs = endNs;
      }
    }),
  );
});
