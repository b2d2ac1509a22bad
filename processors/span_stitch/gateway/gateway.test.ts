// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Batch } from "../../../src/model/batch.ts";
import { fromOtlpJson } from "../../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../../src/telemetry/memory-telemetry.ts";
import { ClockSkew } from "./clock-skew.ts";
import { Gateway } from "./gateway.ts";

interface SpanJson {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: 2 | 3;
  /** The client span that a root names. */
  readonly peer?: string;
}

interface Joined extends SpanJson {
  readonly evidence?: string;
}

const trace = (digit: string): string => digit.repeat(32);
const id = (digit: string): string => digit.repeat(16);

function batch(...spans: readonly SpanJson[]): Batch {
  const list = spans.map(({ peer, ...span }) => ({
    ...{ ...span, name: "GET", startTimeUnixNano: "1700000000000000000" },
    endTimeUnixNano: "1700000000001000000",
    attributes: [
      { key: "a", value: { stringValue: "b" } },
      ...(peer === undefined ? [] : [{ key: "stitch.peer_span_id", value: { stringValue: peer } }]),
    ],
  }));
  const body = { resourceSpans: [{ scopeSpans: [{ spans: list }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

function spansOf({ chunks }: Batch): readonly Joined[] {
  const json = toOtlpJson(REQUESTS.traces.request, Buffer.concat(chunks));
  assert.ok(json.ok);
  const found: Joined[] = [];
  JSON.parse(json.json, (key, value) => {
    if (key !== "spans") return value;
    for (const span of value) {
      const attributes = new Map<string, string>(
        span.attributes.map((one: { key: string; value: { stringValue?: string } }) => [
          one.key,
          one.value.stringValue ?? "",
        ]),
      );
      assert.equal(attributes.get("a"), "b");
      const { traceId, spanId, parentSpanId, kind } = span;
      const [peer, evidence] = ["stitch.peer_span_id", "stitch.evidence"].map((name) =>
        attributes.get(name),
      );
      found.push({
        ...{ traceId, spanId, kind },
        ...(parentSpanId === undefined ? {} : { parentSpanId }),
        ...(peer === undefined ? {} : { peer }),
        ...(evidence === undefined ? {} : { evidence }),
      });
    }
    return value;
  });
  return found;
}

function create(): { gateway: Gateway; count: (name: string) => Promise<number> } {
  const { telemetry, value } = createMemoryTelemetry();
  const gateway = new Gateway(
    {
      ...{ id: "span_stitch", telemetry, buildInfo: { version: "0" } },
      ...{ signal: "traces", pipelineId: "traces" },
    },
    1024,
  );
  const label = '{processor="span_stitch"}';
  return {
    gateway,
    count: async (name) => await value(`backstitch_span_stitch_gateway_${name}${label}`),
  };
}

const FRONT: readonly SpanJson[] = [
  { traceId: trace("a"), spanId: id("1"), kind: 2 },
  { traceId: trace("a"), spanId: id("2"), parentSpanId: id("1"), kind: 3 },
];
const MIDDLE: readonly SpanJson[] = [
  { traceId: trace("b"), spanId: id("3"), kind: 2, peer: id("2") },
  { traceId: trace("b"), spanId: id("4"), parentSpanId: id("3"), kind: 3 },
];
const BACK: readonly SpanJson[] = [
  { traceId: trace("c"), spanId: id("5"), kind: 2, peer: id("4") },
];
const WHOLE: readonly Joined[] = [
  { traceId: trace("a"), spanId: id("1"), kind: 2 },
  { traceId: trace("a"), spanId: id("2"), parentSpanId: id("1"), kind: 3 },
  { traceId: trace("a"), spanId: id("3"), parentSpanId: id("2"), kind: 2, evidence: "byte_name" },
  { traceId: trace("a"), spanId: id("4"), parentSpanId: id("3"), kind: 3 },
  { traceId: trace("a"), spanId: id("5"), parentSpanId: id("4"), kind: 2, evidence: "byte_name" },
];

test("pieces become one trace, in whatever order they come", async () => {
  const pieces = [FRONT, MIDDLE, BACK];
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
    [2, 0, 1],
    [0, 2, 1],
    [1, 2, 0],
  ]) {
    const { gateway, count } = create();
    const batches = order.map((index) => batch(...(pieces[index] ?? [])));
    for (const one of batches) gateway.learn(one);
    const out = batches.flatMap((one) => spansOf(gateway.join(one)));
    assert.deepEqual(
      out.sort((a, b) => a.spanId.localeCompare(b.spanId)),
      WHOLE,
    );
    assert.equal(await count("joined_pieces"), 2);
    assert.equal(await count("unjoined_pieces"), 0);
  }
});

test("a piece that goes before its client span comes stays a trace of its own and is counted", async () => {
  const { gateway, count } = create();
  const early = batch(...MIDDLE);
  gateway.learn(early);
  assert.deepEqual(spansOf(gateway.join(early)), MIDDLE);
  const late = batch(...FRONT);
  gateway.learn(late);
  assert.deepEqual(spansOf(gateway.join(late)), FRONT);
  assert.equal(await count("unjoined_pieces"), 1);
  assert.equal(await count("late_pieces"), 1);
  assert.equal(await count("joined_pieces"), 0);
});

test("two pieces that name the same client span are both left alone", async () => {
  const { gateway, count } = create();
  const twin: SpanJson = { traceId: trace("d"), spanId: id("6"), kind: 2, peer: id("2") };
  const all = batch(...FRONT.slice(0, 1), twin, ...MIDDLE, ...FRONT.slice(1));
  gateway.learn(all);
  const out = spansOf(gateway.join(all));
  assert.equal(out.filter(({ evidence }) => evidence !== undefined).length, 0);
  assert.ok((await count("duplicate_names")) > 0);
});

test("a piece is not made a part of itself", async () => {
  const { gateway, count } = create();
  const own: readonly SpanJson[] = [
    { traceId: trace("b"), spanId: id("3"), kind: 2, peer: id("4") },
    { traceId: trace("b"), spanId: id("4"), parentSpanId: id("3"), kind: 3 },
  ];
  const all = batch(...own);
  gateway.learn(all);
  assert.deepEqual(spansOf(gateway.join(all)), own);
  assert.equal(await count("cycles"), 1);
});

test("what has no pieces passes byte for byte, and old rows make room for new ones", () => {
  const { gateway } = create();
  const plain = batch(...FRONT);
  gateway.learn(plain);
  assert.equal(gateway.join(plain), plain);
  for (let index = 0; index < 5000; index++) {
    const hex = (index + 4096).toString(16).padStart(16, "0");
    const pair = batch(
      { traceId: trace("a"), spanId: hex, kind: 3 },
      { traceId: hex + hex, spanId: `f${hex.slice(1)}`, kind: 2, peer: hex },
    );
    gateway.learn(pair);
    assert.equal(spansOf(gateway.join(pair))[1]?.traceId, trace("a"));
  }
});

test("clocks are compared by the requests that two hosts share", () => {
  const published: string[] = [];
  const skew = new ClockSkew((client, server) => published.push(`${client} ${server}`));
  // The server's clock is 3 s ahead; it works for 1 ms of the 5 ms that the client waits.
  const at = (n: number) => ({
    clientStartNs: n * 1e8,
    clientEndNs: n * 1e8 + 5e6,
    serverStartNs: n * 1e8 + 3e9 + 2e6 + (n % 3) * 5e5,
    serverEndNs: n * 1e8 + 3e9 + 3e6 + (n % 3) * 5e5,
  });
  for (let n = 0; n < 100; n++) skew.add("one", "two", at(n));
  assert.deepEqual(published, ["one two"]);
  assert.ok(Math.abs((skew.skewS("one", "two") ?? 0) - 3) < 0.002);
  assert.equal(skew.skewS("two", "one"), undefined);
});
