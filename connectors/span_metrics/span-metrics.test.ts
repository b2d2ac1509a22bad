// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { countItems } from "../../src/pdata/count.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { ExponentialDistribution } from "../../src/series/distribution.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { SpanMetrics } from "./span-metrics.ts";

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const START = 1_700_000_000_000_000_000n;

function span(name: string, durationMs: number, more: object = {}): object {
  return {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "00f067aa0ba902b7",
    name,
    kind: 2,
    startTimeUnixNano: String(START),
    endTimeUnixNano: String(START + BigInt(Math.round(durationMs * 1e6))),
    ...more,
  };
}
const traces = (service: string, ...spans: object[]) => ({
  resourceSpans: [
    { resource: { attributes: [text("service.name", service)] }, scopeSpans: [{ spans }] },
  ],
});

interface Point {
  readonly attributes: { key: string; value: Record<string, unknown> }[];
  readonly [key: string]: unknown;
}
interface Metric {
  readonly name: string;
  readonly unit?: string;
  readonly sum?: { dataPoints: Point[]; aggregationTemporality: number; isMonotonic?: boolean };
  readonly histogram?: { dataPoints: Point[]; aggregationTemporality: number };
  readonly exponentialHistogram?: { dataPoints: Point[] };
}

/** A connector whose time stands at `nowNs` and that gives out when it is told. */
class Bench {
  nowNs = 5n;
  readonly outcomes: Outcome[] = [];
  readonly #input = new Subject<Batch>();
  readonly #out: Batch[] = [];
  readonly #connector: SpanMetrics;

  constructor(options: object = {}) {
    const { telemetry } = createMemoryTelemetry();
    const info = { version: "0" };
    const settings = {
      id: "span_metrics",
      telemetry,
      buildInfo: info,
      from: "traces",
      to: "metrics",
    } as const;
    const config = configSchema.parse({ metrics_flush_interval: "10ms", ...options });
    this.#connector = new SpanMetrics(settings, config, () => this.nowNs);
    this.#connector.connect(this.#input).subscribe((batch) => this.#out.push(batch));
  }

  add(json: object): void {
    const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(json));
    assert.ok(encoded.ok);
    const { bytes } = encoded;
    const receipt = { settle: (outcome: Outcome) => void this.outcomes.push(outcome) };
    const items = countItems("traces", bytes);
    this.#input.next({ signal: "traces", chunks: [bytes], items, bytes: bytes.length, receipt });
  }

  /** Waits for what the timer gives out; undefined when it is nothing. */
  async flushed(): Promise<Metric[] | undefined> {
    this.#out.length = 0;
    await this.#connector.start();
    for (let turn = 0; turn < 40 && this.#out.length === 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    await this.#connector.shutdown();
    const [batch] = this.#out;
    return batch === undefined ? undefined : this.#metrics(batch);
  }

  /** What comes out when the input ends. */
  ended(): Metric[] {
    this.#input.complete();
    const [batch] = this.#out;
    assert.ok(batch !== undefined);
    return this.#metrics(batch);
  }

  #metrics(batch: Batch): Metric[] {
    assert.equal(batch.items, countItems("metrics", Buffer.concat(batch.chunks)));
    const decoded = toOtlpJson(REQUESTS.metrics.request, Buffer.concat(batch.chunks));
    assert.ok(decoded.ok);
    const { resourceMetrics } = JSON.parse(decoded.json);
    return resourceMetrics.flatMap(
      (resource: { scopeMetrics: { scope: object; metrics: Metric[] }[] }) =>
        resource.scopeMetrics.flatMap(({ scope, metrics }) => {
          assert.deepEqual(scope, { name: "spanmetricsconnector" });
          return metrics;
        }),
    );
  }
}

const labels = (point: Point): Record<string, unknown> =>
  Object.fromEntries(point.attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

test("spans become calls and durations by service, name, kind and status", () => {
  const bench = new Bench();
  bench.add(traces("shop", span("a", 3), span("a", 7), span("b", 20_000, { status: { code: 2 } })));
  bench.nowNs = 9n;
  const [calls, duration, ...rest] = bench.ended();
  assert.equal(rest.length, 0);
  assert.deepEqual(bench.outcomes, [{ kind: "accepted" }]);
  assert.equal(calls?.name, "traces.span.metrics.calls");
  assert.equal(calls.sum?.aggregationTemporality, 2);
  assert.equal(calls.sum?.isMonotonic, true);
  assert.deepEqual(
    calls.sum?.dataPoints.map((point) => [point["asInt"], labels(point)]),
    [
      [
        "2",
        {
          "service.name": "shop",
          "span.name": "a",
          "span.kind": "SPAN_KIND_SERVER",
          "status.code": "STATUS_CODE_UNSET",
        },
      ],
      [
        "1",
        {
          "service.name": "shop",
          "span.name": "b",
          "span.kind": "SPAN_KIND_SERVER",
          "status.code": "STATUS_CODE_ERROR",
        },
      ],
    ],
  );
  assert.equal(duration?.name, "traces.span.metrics.duration");
  assert.equal(duration.unit, "ms");
  const [first, second] = duration.histogram?.dataPoints ?? [];
  assert.equal(first?.["startTimeUnixNano"], "5");
  assert.equal(first?.["timeUnixNano"], "9");
  assert.equal(first?.["count"], "2");
  assert.equal(first?.["sum"], 10);
  const bounds = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000];
  assert.deepEqual(first?.["explicitBounds"], bounds);
  assert.deepEqual(first?.["bucketCounts"], ["0", "1", "0", "1", ...new Array(13).fill("0")]);
  assert.deepEqual(second?.["bucketCounts"], [...new Array(16).fill("0"), "1"]);
});

test("dimensions come from the span, its resource, or their defaults; some are left out", () => {
  const bench = new Bench({
    dimensions: [{ name: "route" }, { name: "zone", default: "none" }, { name: "host" }],
    exclude_dimensions: ["status.code"],
    histogram: { unit: "s", explicit: { buckets: ["100ms", "1s"] } },
    namespace: "",
  });
  bench.add(traces("s", span("a", 500, { attributes: [text("route", "/x")] }), span("a", 500)));
  const [calls, duration] = bench.ended();
  assert.equal(calls?.name, "calls");
  const base = { "service.name": "s", "span.name": "a", "span.kind": "SPAN_KIND_SERVER" };
  assert.deepEqual(calls.sum?.dataPoints.map(labels), [
    { ...base, route: "/x", zone: "none" },
    { ...base, zone: "none" },
  ]);
  const [point] = duration?.histogram?.dataPoints ?? [];
  assert.deepEqual(point?.["explicitBounds"], [0.1, 1]);
  assert.deepEqual(point?.["bucketCounts"], ["0", "1", "0"]);
});

test("dimensions of one metric only", () => {
  const bench = new Bench({
    calls_dimensions: [{ name: "route" }],
    histogram: { dimensions: [{ name: "n" }] },
  });
  const attributes = [text("route", "/x"), text("n", "1")];
  bench.add(traces("s", span("a", 1, { attributes })));
  const [calls, duration] = bench.ended();
  assert.equal(labels(calls?.sum?.dataPoints[0] ?? { attributes: [] })["route"], "/x");
  const point = duration?.histogram?.dataPoints[0] ?? { attributes: [] };
  assert.equal(labels(point)["n"], "1");
  assert.equal(labels(point)["route"], undefined);
});

test("cumulative sums go on, delta sums begin again where the last one ended", async () => {
  const cumulative = new Bench();
  cumulative.add(traces("s", span("a", 1)));
  await cumulative.flushed();
  cumulative.add(traces("s", span("a", 1)));
  const sums = await cumulative.flushed();
  assert.equal(sums?.[0]?.sum?.dataPoints[0]?.["asInt"], "2");

  const delta = new Bench({ aggregation_temporality: "AGGREGATION_TEMPORALITY_DELTA" });
  delta.add(traces("s", span("a", 1)));
  delta.nowNs = 100n;
  const first = await delta.flushed();
  assert.equal(first?.[0]?.sum?.aggregationTemporality, 1);
  assert.equal(await delta.flushed(), undefined);
  delta.add(traces("s", span("a", 1)));
  delta.nowNs = 200n;
  const second = await delta.flushed();
  const point = second?.[0]?.sum?.dataPoints[0];
  assert.equal(point?.["asInt"], "1");
  assert.equal(point?.["startTimeUnixNano"], "100");
  assert.equal(point?.["timeUnixNano"], "200");
});

test("series without spans expire", async () => {
  const bench = new Bench({ metrics_expiration: "5ms" });
  bench.add(traces("s", span("a", 1)));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await bench.flushed(), undefined);
});

test("exemplars name the spans, as many as are wanted, and only once", async () => {
  const bench = new Bench({ exemplars: { enabled: true, max_per_data_point: 2 } });
  bench.add(traces("s", span("a", 1), span("a", 2), span("a", 3)));
  const metrics = await bench.flushed();
  const point = metrics?.[1]?.histogram?.dataPoints[0];
  const exemplars = point?.["exemplars"];
  assert.ok(Array.isArray(exemplars));
  assert.deepEqual(
    exemplars.map((exemplar: Record<string, unknown>) => [
      exemplar["asDouble"],
      exemplar["traceId"],
      exemplar["spanId"],
    ]),
    [1, 2].map((ms) => [ms, "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"]),
  );
  const again = await bench.flushed();
  assert.equal(again?.[1]?.histogram?.dataPoints[0]?.["exemplars"], undefined);
});

test("events are counted by their own attributes", () => {
  const bench = new Bench({
    histogram: { disable: true },
    events: { enabled: true, dimensions: [{ name: "exception.type" }] },
  });
  const event = (type: string) => ({
    name: "exception",
    attributes: [text("exception.type", type)],
  });
  bench.add(traces("s", span("a", 1, { events: [event("A"), event("B"), event("A")] })));
  const [calls, events, ...rest] = bench.ended();
  assert.equal(rest.length, 0);
  assert.equal(calls?.sum?.dataPoints.length, 1);
  assert.equal(events?.name, "traces.span.metrics.events");
  assert.deepEqual(
    events.sum?.dataPoints.map((point) => [labels(point)["exception.type"], point["asInt"]]),
    [
      ["A", "2"],
      ["B", "1"],
    ],
  );
});

test("series above the limit are one, resources above theirs the newest", () => {
  const bench = new Bench({ aggregation_cardinality_limit: 2, resource_metrics_cache_size: 1 });
  bench.add(traces("old", span("a", 1)));
  bench.add(traces("s", ...["a", "b", "c", "d", "a"].map((name) => span(name, 1))));
  const metrics = bench.ended();
  assert.equal(metrics.length, 2);
  const points = metrics[0]?.sum?.dataPoints ?? [];
  assert.deepEqual(
    points.map((point) => point["asInt"]),
    ["2", "1", "2"],
  );
  assert.deepEqual(labels(points[2] ?? { attributes: [] }), { "otel.metric.overflow": true });
});

test("resources are one when the chosen attributes are", () => {
  const bench = new Bench({ resource_metrics_key_attributes: ["service.name"] });
  for (const pid of ["1", "2"]) {
    const attributes = [text("service.name", "s"), text("process.pid", pid)];
    bench.add({
      resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: [span("a", 1)] }] }],
    });
  }
  assert.equal(bench.ended()[0]?.sum?.dataPoints[0]?.["asInt"], "2");
});

test("exponential histograms hold every value within their buckets' bounds", () => {
  const bench = new Bench({ histogram: { exponential: { max_size: 4 } } });
  bench.add(traces("s", span("a", 1), span("a", 2), span("a", 4), span("a", 1000), span("a", 0)));
  const [point] = bench.ended()[1]?.exponentialHistogram?.dataPoints ?? [];
  // log2: 0, 1, 2, 9.97: at scale -2, base 16, (1/16, 1], (1, 16], (16, 256], (256, 4096].
  assert.equal(point?.["scale"], -2);
  assert.equal(point?.["zeroCount"], "1");
  assert.deepEqual(point?.["positive"], { offset: -1, bucketCounts: ["1", "2", "0", "1"] });
  assert.equal(point?.["count"], "5");
});

test("a distribution keeps to its size, whatever the values", () => {
  const distribution = new ExponentialDistribution(10);
  for (let at = 0; at < 2000; at++) distribution.record(1.7 ** (at % 60) / 1000);
  const out = new ProtoWriter();
  distribution.writeTo(out);
  assert.ok(out.length < 80);
  assert.equal(distribution.count, 2000);
});

test("what is wrong in the configuration is said", () => {
  const problem = (options: object) =>
    configSchema.safeParse(options).error?.issues[0]?.message ?? "";
  assert.match(problem({ histogram: { explicit: {}, exponential: {} } }), /use either/);
  assert.match(
    problem({ dimensions: [{ name: "span.name" }] }),
    /duplicate dimension name "span.name"/,
  );
  assert.match(problem({ events: { enabled: true } }), /no dimensions configured for events/);
  assert.match(problem({ metrics_flush_interval: "0s" }), /greater than zero/);
});
