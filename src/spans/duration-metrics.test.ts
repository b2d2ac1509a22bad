// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import type { SelectedProcess } from "../model/process.ts";
import type { ExchangeEvents } from "../model/protocol.ts";
import { RECEIVED, SENT } from "../model/protocol.ts";
import { countItems } from "../pdata/count.ts";
import { toOtlpJson } from "../pdata/json-encode.ts";
import { HTTP1 } from "../protocols/http1/protocol.ts";
import { TEST_OPTIONS, TestRecord } from "../protocols/testing.ts";
import { DurationMetrics } from "./duration-metrics.ts";
import { EpochClock } from "./epoch-clock.ts";
import { SpanConnection } from "./span-connection.ts";

const EPOCH_NS = 1_795_360_440_000_000_000n;
const SECOND_NS = 1e9;

const attributes = z.array(
  z.object({ key: z.string(), value: z.record(z.string(), z.union([z.string(), z.boolean()])) }),
);
const pointSchema = z.object({
  startTimeUnixNano: z.string(),
  timeUnixNano: z.string(),
  count: z.string(),
  sum: z.number(),
  min: z.number(),
  max: z.number(),
  bucketCounts: z.array(z.string()),
  explicitBounds: z.array(z.number()),
  attributes,
});
const metricsSchema = z.object({
  resourceMetrics: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeMetrics: z.array(
        z.object({
          metrics: z.array(
            z.object({
              name: z.string(),
              description: z.string(),
              unit: z.string(),
              histogram: z.object({
                aggregationTemporality: z.number(),
                dataPoints: z.array(pointSchema),
              }),
            }),
          ),
        }),
      ),
    }),
  ),
});
type Metrics = z.infer<typeof metricsSchema>;

function processNamed(serviceName: string): SelectedProcess {
  return { pid: 1, serviceName, attributes: new Map() };
}

function createMetrics(seriesMax = 100): DurationMetrics {
  return new DurationMetrics({ version: "1", clock: new EpochClock(EPOCH_NS), seriesMax });
}

interface Call {
  readonly role?: "client" | "server";
  readonly path?: string;
  readonly seconds: number;
  readonly host?: string;
}

/** Lets a service handle or make a call. */
function call(
  metrics: DurationMetrics,
  process: SelectedProcess,
  options: typeof TEST_OPTIONS,
  made: Call,
): void {
  const role = made.role ?? "server";
  const connection = new SpanConnection({
    role,
    clientStart: 1,
    serverStart: 2,
    positionExcess: 0,
    family: 4,
    localAddress: "10.0.0.1",
    localPort: 1,
    remoteAddress: "10.0.0.2",
    remotePort: 2,
  });
  const events: ExchangeEvents = {
    begin(): void {},
    end: (exchange) => metrics.record(process, connection, exchange),
    abandon(): void {},
    lost(): void {},
  };
  const parser = HTTP1.createParser(options, events);
  const host = made.host === undefined ? "" : `Host: ${made.host}\r\n`;
  const request = Buffer.from(`GET ${made.path ?? "/"} HTTP/1.1\r\n${host}\r\n`);
  const response = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const [ask, answer] =
    role === "server" ? ([RECEIVED, SENT] as const) : ([SENT, RECEIVED] as const);
  const endNs = SECOND_NS + Math.round(made.seconds * SECOND_NS);
  parser.data(new TestRecord({ direction: ask, position: 0, bytes: request, timeNs: SECOND_NS }));
  parser.data(new TestRecord({ direction: answer, position: 0, bytes: response, timeNs: endNs }));
}

function collect(metrics: DurationMetrics): Metrics {
  const batch = metrics.collect(60 * SECOND_NS);
  assert.ok(batch !== undefined);
  const bytes = Buffer.concat(batch.chunks);
  assert.equal(bytes.length, batch.bytes);
  assert.equal(countItems("metrics", bytes), batch.items);
  const result = toOtlpJson("ExportMetricsServiceRequest", bytes);
  assert.ok(result.ok);
  return metricsSchema.parse(JSON.parse(result.json));
}

describe("DurationMetrics", () => {
  it("gives cumulative histograms with the conventions' bounds", () => {
    const metrics = createMetrics();
    const options = { ...TEST_OPTIONS };
    // Bounds belong to the bucket below (OTLP: explicit_bounds are inclusive above).
    for (const seconds of [0.004, 0.005, 0.0051, 0.3, 11]) {
      call(metrics, processNamed("shop"), options, { seconds });
    }
    const shop = processNamed("shop");
    for (const seconds of [0.004, 0.005, 0.0051, 0.3, 11])
      call(metrics, shop, options, { seconds });
    const [, second] = [collect(metrics), collect(metrics)];
    const last = second.resourceMetrics.at(-1);
    const metric = last?.scopeMetrics[0]?.metrics[0];
    assert.equal(metric?.name, "http.server.request.duration");
    assert.equal(metric?.description, "Duration of HTTP server requests.");
    assert.equal(metric?.unit, "s");
    assert.equal(metric?.histogram.aggregationTemporality, 2);
    const point = metric?.histogram.dataPoints[0];
    assert.equal(point?.count, "5");
    assert.deepEqual(
      point?.explicitBounds,
      [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
    );
    const counts = point?.bucketCounts.map(Number);
    assert.deepEqual(counts, [2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
    assert.ok(Math.abs((point?.sum ?? 0) - 11.3141) < 1e-9);
    assert.deepEqual([point?.min, point?.max], [0.004, 11]);
    assert.equal(point?.startTimeUnixNano, String(EPOCH_NS + 1_000_000_000n));
    assert.equal(point?.timeUnixNano, String(EPOCH_NS + 60_000_000_000n));
  });

  it("keeps a series for each set of attributes, and names servers for clients", () => {
    const metrics = createMetrics();
    const shop = processNamed("shop");
    const options = { ...TEST_OPTIONS };
    for (let count = 0; count < 3; count++) {
      call(metrics, shop, options, { seconds: 0.1, path: "/a", host: "x" });
      call(metrics, shop, options, { seconds: 0.1, path: "/b", host: "y" });
      call(metrics, shop, options, { seconds: 0.1, role: "client", host: "stock:81" });
      call(metrics, shop, options, { seconds: 0.1, role: "client" });
    }
    const found = collect(metrics).resourceMetrics[0]?.scopeMetrics[0]?.metrics ?? [];
    const series = found.map((metric) => [
      metric.name,
      metric.histogram.dataPoints.map((point) => [point.count, textOf(point.attributes)]),
    ]);
    assert.deepEqual(series, [
      [
        "http.server.request.duration",
        [
          [
            "3",
            "http.request.method=GET url.scheme=http http.route=/a network.protocol.version=1.1 http.response.status_code=200",
          ],
          [
            "3",
            "http.request.method=GET url.scheme=http http.route=/b network.protocol.version=1.1 http.response.status_code=200",
          ],
        ],
      ],
      [
        "http.client.request.duration",
        [
          [
            "3",
            "http.request.method=GET url.scheme=http server.address=stock server.port=81 network.protocol.version=1.1 http.response.status_code=200",
          ],
          [
            "3",
            "http.request.method=GET url.scheme=http network.protocol.version=1.1 http.response.status_code=200 server.address=10.0.0.2 server.port=2",
          ],
        ],
      ],
    ]);
  });

  it("puts what is beyond the limit into one series that says so", () => {
    const metrics = createMetrics(3);
    const shop = processNamed("shop");
    const options = { ...TEST_OPTIONS };
    for (const path of ["/a", "/b", "/c", "/d", "/c", "/a"]) {
      call(metrics, shop, options, { seconds: 1, path });
    }
    assert.equal(metrics.seriesCount, 3);
    const [metric] = collect(metrics).resourceMetrics[0]?.scopeMetrics[0]?.metrics ?? [];
    const points = metric?.histogram.dataPoints.map((point) => [
      point.count,
      textOf(point.attributes),
    ]);
    assert.equal(points?.length, 3);
    assert.deepEqual(points?.[2], ["3", "otel.metric.overflow=true"]);
  });

  it("forgets processes that ended", () => {
    const metrics = createMetrics();
    const [shop, stock] = [processNamed("shop"), processNamed("stock")];
    const options = { ...TEST_OPTIONS };
    call(metrics, shop, options, { seconds: 1 });
    call(metrics, stock, options, { seconds: 1 });
    assert.equal(collect(metrics).resourceMetrics.length, 2);
    metrics.forget(shop);
    assert.equal(collect(metrics).resourceMetrics.length, 1);
    metrics.forget(stock);
    assert.equal(metrics.collect(1), undefined);
  });
});

function textOf(list: z.infer<typeof attributes>): string {
  return list.map(({ key, value }) => `${key}=${String(Object.values(value)[0])}`).join(" ");
}
