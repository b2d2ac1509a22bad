// SPDX-License-Identifier: Apache-2.0
// Names and labels: opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Batch } from "../../src/model/batch.ts";
import { countItems } from "../../src/pdata/count.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { createPrometheusExporter } from "./prometheus.ts";

type Json = Readonly<Record<string, unknown>>;

const text = (key: string, stringValue: string): Json => ({ key, value: { stringValue } });
const SHOP = [
  text("service.name", "shop"),
  text("service.namespace", "eu"),
  text("host.name", "h1"),
];
const CUMULATIVE = 2;
const DELTA = 1;

interface Running {
  readonly memory: MemoryTelemetry;
  send(metrics: readonly Json[], resource?: readonly Json[]): void;
  scrape(accept?: string): Promise<{ readonly type: string; readonly lines: readonly string[] }>;
}

async function run(context: TestContext, options: object = {}): Promise<Running> {
  const memory = createMemoryTelemetry();
  const settings = {
    ...{ id: "prometheus", telemetry: memory.telemetry, buildInfo: { version: "0" } },
    signal: "metrics",
  } as const;
  const config = configSchema.parse({ endpoint: "127.0.0.1:0", ...options });
  const exporter = createPrometheusExporter(settings, config);
  await exporter.start({ extension: () => undefined, fatal: () => undefined });
  context.after(() => exporter.shutdown(AbortSignal.abort()));
  return {
    memory,
    send: (metrics, resource = SHOP) => {
      assert.ok(exporter.accept(batchOf(metrics, resource)));
    },
    scrape: async (accept = "*/*") => {
      const url = `http://127.0.0.1:${exporter.port}/metrics`;
      const response = await fetch(url, { headers: { accept } });
      assert.equal(response.status, 200);
      const lines = (await response.text()).split("\n").slice(0, -1);
      return { type: response.headers.get("content-type") ?? "", lines };
    },
  };
}

function batchOf(metrics: readonly Json[], resource: readonly Json[]): Batch {
  const scope = { name: "lib", version: "1" };
  const json = {
    resourceMetrics: [{ resource: { attributes: resource }, scopeMetrics: [{ scope, metrics }] }],
  };
  const encoded = fromOtlpJson(REQUESTS.metrics.request, JSON.stringify(json));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  const items = countItems("metrics", bytes);
  return { signal: "metrics", chunks: [bytes], items, bytes: bytes.length };
}

const counter = (name: string, asInt: number, more: Json = {}): Json => {
  const { unit = "", temporality = CUMULATIVE, ...point } = more;
  const dataPoints = [{ asInt, timeUnixNano: "2000000000", ...point }];
  const sum = { isMonotonic: true, aggregationTemporality: temporality, dataPoints };
  return { name, unit, description: "how many", sum };
};

const gauge = (name: string, asDouble: number, more: Json = {}): Json => ({
  name,
  gauge: { dataPoints: [{ asDouble, timeUnixNano: "2000000000", ...more }] },
});

const LABELS = 'job="eu/shop",otel_scope_name="lib",otel_scope_version="1"';

test("a counter gets its unit and _total, its resource becomes job and target_info", async (context) => {
  const { send, scrape } = await run(context);
  send([counter("http.bytes", 5, { unit: "By", attributes: [text("http.route", '/a"b')] })]);
  const { type, lines } = await scrape();
  assert.equal(type, "text/plain; version=0.0.4; charset=utf-8");
  assert.deepEqual(lines, [
    "# HELP http_bytes_total how many",
    "# TYPE http_bytes_total counter",
    `http_bytes_total{http_route="/a\\"b",${LABELS}} 5`,
    "# HELP target_info Target metadata",
    "# TYPE target_info gauge",
    'target_info{host_name="h1",job="eu/shop"} 1',
  ]);
});

test("histograms are cumulative over their buckets; summaries have their quantiles", async (context) => {
  const { send, scrape } = await run(context, { without_scope_info: true });
  const point = { count: "6", sum: 2.5, bucketCounts: ["1", "2", "3"], explicitBounds: [0.1, 1] };
  const quantileValues = [{ quantile: 0.5, value: 3 }];
  send([
    {
      ...{ name: "wait", unit: "s" },
      histogram: { aggregationTemporality: CUMULATIVE, dataPoints: [point] },
    },
    { name: "old", summary: { dataPoints: [{ count: "2", sum: 7, quantileValues }] } },
  ]);
  const { lines } = await scrape();
  assert.deepEqual(
    lines.filter((line) => !line.startsWith("#") && !line.startsWith("target")),
    [
      'old{job="eu/shop",quantile="0.5"} 3',
      'old_sum{job="eu/shop"} 7',
      'old_count{job="eu/shop"} 2',
      'wait_seconds_bucket{job="eu/shop",le="0.1"} 1',
      'wait_seconds_bucket{job="eu/shop",le="1"} 3',
      'wait_seconds_bucket{job="eu/shop",le="+Inf"} 6',
      'wait_seconds_sum{job="eu/shop"} 2.5',
      'wait_seconds_count{job="eu/shop"} 6',
    ],
  );
});

test("deltas add up as long as they follow each other, and the newest point wins", async (context) => {
  const { send, scrape, memory } = await run(context, { without_scope_info: true });
  const delta = (asInt: number, start: number, end: number): Json =>
    counter("d", asInt, {
      temporality: DELTA,
      startTimeUnixNano: `${start}`,
      timeUnixNano: `${end}`,
    });
  const value = async (): Promise<string | undefined> =>
    (await scrape()).lines.find((line) => line.startsWith("d_total{"))?.split(" ")[1];
  send([delta(2, 10, 20)]);
  send([delta(3, 20, 30)]);
  assert.equal(await value(), "5");
  send([delta(4, 100, 110)]);
  assert.equal(await value(), "4", "nobody knows what was in between");
  send([gauge("g", 1, { timeUnixNano: "50" }), gauge("g", 2, { timeUnixNano: "40" })]);
  assert.ok((await scrape()).lines.includes('g{job="eu/shop"} 1'));
  send([
    {
      ...{ name: "level" },
      sum: { aggregationTemporality: DELTA, dataPoints: [{ asInt: 1 }] },
    },
  ]);
  const lost =
    'backstitch_exporter_dropped_metric_points{exporter="prometheus",reason="delta_gauge"}';
  assert.equal(await memory.value(lost), 1);
});

test("OpenMetrics has exemplars and an end, for those who accept it where it is enabled", async (context) => {
  const { send, scrape } = await run(context, {
    ...{ enable_open_metrics: true, without_scope_info: true, send_timestamps: true },
  });
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const exemplars = [{ asInt: 1, timeUnixNano: "1500000000", traceId, spanId: "b7ad6b7169203331" }];
  send([counter("hits", 7, { exemplars })], [text("service.name", "a")]);
  const { type, lines } = await scrape("application/openmetrics-text; version=1.0.0");
  assert.equal(type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.deepEqual(lines, [
    "# HELP hits how many",
    "# TYPE hits counter",
    `hits_total{job="a"} 7 2 # {trace_id="${traceId}",span_id="b7ad6b7169203331"} 1 1.5`,
    "# EOF",
  ]);
  assert.match((await scrape()).type, /^text\/plain/);
});

test("names, labels and resources as the options ask", async (context) => {
  const { send, scrape } = await run(context, {
    ...{ namespace: "my", const_labels: { env: "test" }, without_scope_info: true },
    ...{ add_metric_suffixes: false, resource_to_telemetry_conversion: { enabled: true } },
  });
  const attributes = [text("a.b", "1"), text("a_b", "2"), text("2nd", "x")];
  send([counter("jvm.gc", 1, { unit: "s", attributes })], [text("service.name", "a")]);
  assert.equal(
    (await scrape()).lines.at(-1),
    'my_jvm_gc{a_b="1;2",env="test",job="a",key_2nd="x",service_name="a"} 1',
  );
});

test("a series that is stale or was not reported for long goes; conflicts are counted", async (context) => {
  const { send, scrape, memory } = await run(context, { metric_expiration: "1h" });
  const NO_VALUE = 1;
  const bare: readonly Json[] = [text("service.name", "a")];
  send([gauge("x", 1), gauge("y", 1)], bare);
  send([gauge("x", 0, { flags: NO_VALUE })], bare);
  send([counter("y", 1, { unit: "{a}" }), gauge("y_total", 3)], bare);
  const { lines } = await scrape();
  assert.ok(!lines.some((line) => line.startsWith("x")));
  const lost =
    'backstitch_exporter_dropped_metric_points{exporter="prometheus",reason="type_conflict"}';
  assert.equal(await memory.value(lost), 1);
  const brief = await run(context, { metric_expiration: "0s" });
  brief.send([gauge("x", 1)], bare);
  assert.deepEqual((await brief.scrape()).lines, []);
});
