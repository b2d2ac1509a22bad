// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Exporter } from "../../src/component/component.ts";
import type { Batch, Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { createDebugExporter } from "./debug.ts";
import { createStyle, durationText, printable } from "./style.ts";
import { TraceCollector } from "./trace-collector.ts";
import { drawTree, type TreeSpan } from "./tree.ts";

const HOST = { extension: () => undefined, fatal: () => undefined };
const PLAIN = { style: createStyle(false), width: 140 };
const ended = (): AbortSignal => AbortSignal.timeout(1_000);

function span(part: Partial<TreeSpan>): TreeSpan {
  return {
    spanId: "1",
    parentSpanId: "",
    service: "shop",
    name: "GET /",
    kind: 2,
    startNs: 0,
    durationNs: 1e6,
    status: "",
    isError: false,
    evidence: "",
    confidence: undefined,
    peer: "",
    ...part,
  };
}

function draw(spans: readonly TreeSpan[], width = 140): string[] {
  const text = drawTree({ traceId: "t", spans, spansLeftOut: 0 }, { ...PLAIN, width });
  return text.trimEnd().split("\n");
}

test("spans stand under their parents, siblings by time, with time, status and evidence", () => {
  const lines = draw([
    span({
      spanId: "3",
      parentSpanId: "1",
      startNs: 6e5,
      durationNs: 2e5,
      name: "second",
      kind: 3,
    }),
    span({ spanId: "2", parentSpanId: "1", startNs: 1e5, durationNs: 4e5, name: "first", kind: 3 }),
    span({
      spanId: "4",
      parentSpanId: "2",
      service: "stock",
      startNs: 2e5,
      durationNs: 1e5,
      status: "200",
      evidence: "byte_name",
      confidence: 0.5,
    }),
    span({ spanId: "1" }),
  ]);
  assert.deepEqual(lines, [
    "trace t  4 spans · 2 services · 1.00 ms",
    "  ● shop       GET /  ▕████████████████████████▏ 1.00 ms",
    "  ├ ○ shop     first  ▕  ██████████            ▏  400 µs",
    "  │ └ ● stock  GET /  ▕    ▐██▌                ▏  100 µs  200  ← byte_name 50%",
    "  └ ○ shop     second ▕              █████▌    ▏  200 µs",
  ]);
});

test("errors are counted, a parent that is not there is said, a leaf client shows its peer", () => {
  const lines = draw([
    span({
      spanId: "2",
      parentSpanId: "9",
      status: "503",
      isError: true,
      kind: 3,
      peer: "db:5432",
    }),
  ]);
  assert.match(lines[0] ?? "", /1 span · 1 service · 1\.00 ms · 1 error$/);
  assert.match(lines[1] ?? "", /GET \/ → db:5432 .*503 {2}parent not seen$/);
});

test("spans that are each other's parents are each drawn once", () => {
  const lines = draw([
    span({ spanId: "1", parentSpanId: "2" }),
    span({ spanId: "2", parentSpanId: "1" }),
    span({ spanId: "3", parentSpanId: "3" }),
  ]);
  assert.equal(lines.length, 4);
});

test("a name cannot move the cursor, and long ones are cut to the width", () => {
  assert.equal(printable("a\u001b[2Jb\r\n\u202e"), "a\ufffd[2Jb\ufffd\ufffd\ufffd");
  const [, line = ""] = draw(
    [span({ name: `\u001b]0;x\u0007${"n".repeat(500)}`, status: "200" })],
    100,
  );
  assert.doesNotMatch(line, /\p{Cc}/u);
  assert.ok(line.length <= 100, `${line.length}`);
});

test("durations have three digits", () => {
  const texts = [999, 1_000, 12_345, 999_499, 1.5e6, 99.96e6, 1.234e9, 75e9].map(durationText);
  assert.deepEqual(texts, [
    "999 ns",
    "1.00 µs",
    "12.3 µs",
    "999 µs",
    "1.50 ms",
    "100 ms",
    "1.23 s",
    "75.0 s",
  ]);
});

function batch(signal: OtlpSignal, json: unknown, items: number): Batch {
  const result = fromOtlpJson(REQUESTS[signal].request, JSON.stringify(json));
  assert.ok(result.ok);
  return { signal, chunks: [result.bytes], items, bytes: result.bytes.length };
}

function traces(...traceIds: readonly string[]): Batch {
  const spans = traceIds.map((traceId, index) => ({
    traceId: traceId.padStart(32, "0"),
    spanId: String(index + 1).padStart(16, "0"),
    name: "GET /x",
    kind: 2,
    startTimeUnixNano: "1700000000000000000",
    endTimeUnixNano: "1700000000002000000",
    attributes: [{ key: "http.response.status_code", value: { intValue: 200 } }],
  }));
  const attributes = [{ key: "service.name", value: { stringValue: "shop" } }];
  return batch(
    "traces",
    {
      resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { name: "s" }, spans }] }],
    },
    spans.length,
  );
}

interface Running {
  readonly exporter: Exporter;
  readonly memory: MemoryTelemetry;
  text: string;
}

async function run(context: TestContext, signal: Signal, options: object): Promise<Running> {
  const memory = createMemoryTelemetry();
  const settings = {
    id: "debug",
    telemetry: memory.telemetry,
    buildInfo: { version: "1" },
    signal,
  };
  const output = {
    isColoured: false,
    width: 140,
    write: (text: string) => {
      running.text += text;
    },
  };
  const exporter = createDebugExporter(settings, configSchema.parse(options), output);
  const running: Running = { exporter, memory, text: "" };
  await exporter.start(HOST);
  context.after(() => exporter.shutdown(ended()));
  return running;
}

test("a trace is printed once, when no span of it has come for a while", async (context) => {
  const running = await run(context, "traces", { verbosity: "tree", tree: { wait: "100ms" } });
  running.exporter.accept(traces("a"));
  assert.equal(running.text, "");
  await eventually(
    async () => running.text,
    (text) => text !== "",
  );
  assert.match(running.text, /^● server .*\n\ntrace 0+a {2}1 span · 1 service · 2\.00 ms\n/);
  assert.match(running.text, /● shop {2}GET \/x ▕█+▏ 2\.00 ms {2}200\n\n$/);
  const before = running.text;
  await running.exporter.shutdown(ended());
  assert.equal(running.text, before);
  const sent = 'otelcol_exporter_sent_spans{exporter="debug"}';
  assert.equal(await running.memory.value(sent), 1);
});

test("the shutdown prints what still waits", async (context) => {
  const running = await run(context, "traces", { verbosity: "tree", tree: { wait: "1h" } });
  running.exporter.accept(traces("b"));
  await running.exporter.shutdown(ended());
  assert.match(running.text, /trace 0+b/);
});

test("traces over the rate and spans over the bound are counted, not kept", () => {
  const config = configSchema.parse({ tree: { max_traces_per_second: 2, max_spans: 3 } });
  const collector = new TraceCollector(config.tree);
  const [chunk = new Uint8Array(0)] = traces("a", "a", "a", "a", "a", "b", "c", "d", "c").chunks;
  collector.add(chunk, 0);
  const { trees, tracesLeftOut } = collector.take(2_000);
  assert.deepEqual(
    trees.map((tree) => [tree.spans.length, tree.spansLeftOut]),
    [
      [3, 2],
      [1, 0],
    ],
  );
  assert.equal(tracesLeftOut, 2);
  assert.equal(collector.isWaiting, false);
});

test("a trace that never ends is printed all the same", () => {
  const collector = new TraceCollector(configSchema.parse({}).tree);
  const [chunk = new Uint8Array(0)] = traces("a").chunks;
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 500) collector.add(chunk, nowMs);
  assert.equal(collector.take(10_000).trees.length, 1);
});

test("verbosity basic is one line a batch, sampled within a second", async (context) => {
  const { exporter, memory, text } = await run(context, "traces", {
    sampling_initial: 2,
    sampling_thereafter: 3,
  });
  for (let index = 0; index < 8; index++) exporter.accept(traces("a", "a"));
  await exporter.shutdown(ended());
  const lines = memory.lines.filter(({ message }) => message === "Traces");
  assert.equal(lines.length, 4);
  assert.deepEqual(lines[0]?.fields, { "resource spans": 1, spans: 2 });
  assert.equal(text, "");
});

test("verbosity normal is one line an item", async (context) => {
  const metrics = await run(context, "metrics", { verbosity: "normal" });
  metrics.exporter.accept(
    batch(
      "metrics",
      {
        resourceMetrics: [
          {
            scopeMetrics: [
              {
                scope: { name: "m" },
                metrics: [
                  {
                    name: "up",
                    gauge: {
                      dataPoints: [
                        { asInt: -2, attributes: [{ key: "a", value: { boolValue: true } }] },
                      ],
                    },
                  },
                  { name: "lat", histogram: { dataPoints: [{ count: 2, sum: 0.5 }] } },
                ],
              },
            ],
          },
        ],
      },
      2,
    ),
  );
  await metrics.exporter.shutdown(ended());
  assert.equal(
    metrics.text,
    "ResourceMetrics #0\nScopeMetrics #0 m\nup{a=true} -2\nlat{} count=2 sum=0.5\n",
  );
  const logs = await run(context, "logs", { verbosity: "normal" });
  const record = {
    body: { stringValue: "hello\u001b" },
    attributes: [{ key: "k", value: { doubleValue: 1.5 } }],
  };
  logs.exporter.accept(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] }, 1),
  );
  await logs.exporter.shutdown(ended());
  assert.equal(logs.text, "ResourceLog #0\nScopeLog #0\nhello\ufffd k=1.5\n");
});

test("verbosity detailed shows every field", async (context) => {
  const spans = await run(context, "traces", { verbosity: "detailed" });
  spans.exporter.accept(traces("a"));
  await spans.exporter.shutdown(ended());
  assert.match(
    spans.text,
    /ResourceSpans #0\nResource SchemaURL: \nResource attributes:\n {5}-> service\.name: Str\(shop\)\n/,
  );
  assert.match(spans.text, /Start time {5}: 2023-11-14 22:13:20 \+0000 UTC\n/);
  assert.match(spans.text, /End time {7}: 2023-11-14 22:13:20\.002 \+0000 UTC\n/);
  assert.match(spans.text, /-> http\.response\.status_code: Int\(200\)/);
  const logs = await run(context, "logs", { verbosity: "detailed" });
  logs.exporter.accept(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{ severityNumber: 9 }] }] }] }, 1),
  );
  await logs.exporter.shutdown(ended());
  assert.match(logs.text, /"severityNumber": 9/);
});
