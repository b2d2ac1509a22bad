// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { telemetrySchema } from "../config/telemetry-config.ts";
import { toOtlpJson } from "../pdata/json-encode.ts";
import { OTLP_SIGNALS, REQUESTS } from "../pdata/requests.ts";
import { GrpcServer, OK } from "../transport/grpc-server.ts";
import { GRPC, type GrpcStatus } from "../transport/grpc-status.ts";
import { TelemetryService } from "./telemetry-service.ts";

const COUNT = { description: "Things", unit: "{thing}" };

interface Backend {
  readonly port: number;
  /** Requests by signal, as OTLP/JSON text. */
  readonly requests: Readonly<Record<"traces" | "metrics" | "logs", string[]>>;
  /** Resolves when `signal` has so many requests. */
  has(signal: "traces" | "metrics" | "logs", requests: number): Promise<void>;
}

async function backend(context: TestContext, answers: GrpcStatus[] = []): Promise<Backend> {
  const requests = { traces: [] as string[], metrics: [] as string[], logs: [] as string[] };
  let wake = (): void => undefined;
  const methods = new Map(
    OTLP_SIGNALS.map((signal) => [
      REQUESTS[signal].grpcPath,
      (message: Uint8Array, reply: (status: GrpcStatus) => void) => {
        const answer = answers.shift() ?? OK;
        if (answer.code === GRPC.ok) {
          const json = toOtlpJson(REQUESTS[signal].request, message);
          assert.ok(json.ok);
          requests[signal].push(json.json);
          wake();
        }
        reply(answer);
      },
    ]),
  );
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    methods,
    messageBytesMax: 4_000_000,
    concurrentStreamsMax: 10,
    openBytesMax: 40_000_000,
    receiveTimeoutMs: 60_000,
  });
  const port = await server.start();
  context.after(() => server.shutdown(AbortSignal.abort()));
  const has = async (signal: "traces" | "metrics" | "logs", count: number): Promise<void> => {
    while (requests[signal].length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { port, requests, has };
}

function grpcTo(port: number, more: object = {}): object {
  const endpoint = `http://127.0.0.1:${port}`;
  return { exporter: { otlp: { protocol: "grpc", endpoint, ...more } } };
}

function service(input: object, logPath = "/dev/null"): TelemetryService {
  const config = telemetrySchema.parse({
    metrics: { level: "none" },
    ...input,
    logs: { output_paths: [logPath], ...("logs" in input ? Object(input.logs) : {}) },
  });
  return new TelemetryService({ config, version: "1.2.3", instanceId: "i" });
}

const metricsSchema = z.object({
  resourceMetrics: z.array(
    z.object({
      scopeMetrics: z.array(
        z.object({
          metrics: z.array(
            z.object({
              name: z.string(),
              sum: z
                .object({
                  aggregationTemporality: z.number(),
                  isMonotonic: z.boolean(),
                  dataPoints: z.array(
                    z.object({
                      asInt: z.string().optional(),
                      startTimeUnixNano: z.string(),
                      timeUnixNano: z.string(),
                    }),
                  ),
                })
                .optional(),
              histogram: z
                .object({
                  dataPoints: z.array(z.object({ bucketCounts: z.array(z.string()) })),
                })
                .optional(),
            }),
          ),
        }),
      ),
    }),
  ),
});

function metricIn(json: string | undefined, name: string) {
  const request = metricsSchema.parse(JSON.parse(json ?? ""));
  const all = request.resourceMetrics.flatMap((one) => one.scopeMetrics.flatMap((s) => s.metrics));
  return all.find((metric) => metric.name === name);
}

for (const temporality of ["cumulative", "delta"]) {
  test(`metrics are sent again and again, ${temporality}, and a last time at the end`, async (context) => {
    const { port, requests, has } = await backend(context);
    const own = service({
      metrics: {
        readers: [
          { periodic: { interval: 20, ...grpcTo(port, { temporality_preference: temporality }) } },
        ],
      },
      resource: { team: "x" },
    });
    const telemetry = own.forComponent({});
    const things = telemetry.counter("things", COUNT);
    const sizes = telemetry.histogram("sizes", COUNT, [10]);
    things.add(3);
    sizes.record(5);
    await own.start();
    await has("metrics", 2);
    things.add(4);
    sizes.record(50);
    await own.shutdown();
    const values = requests.metrics.map((json) => metricIn(json, "things")?.sum);
    const numbers = values.map((sum) => Number(sum?.dataPoints[0]?.asInt));
    const isDelta = temporality === "delta";
    assert.equal(values.at(-1)?.aggregationTemporality, isDelta ? 1 : 2);
    assert.equal(values.at(-1)?.isMonotonic, true);
    assert.equal(isDelta ? numbers.reduce((a, b) => a + b) : numbers.at(-1), 7);
    assert.equal(numbers[0], 3);
    if (isDelta) {
      const times = values.map((sum) => sum?.dataPoints[0]);
      for (const [at, point] of times.entries()) {
        if (at > 0) assert.equal(point?.startTimeUnixNano, times[at - 1]?.timeUnixNano);
      }
    }
    const last = requests.metrics.map((json) => metricIn(json, "sizes")?.histogram?.dataPoints[0]);
    const buckets = [0, 1].map((at) =>
      isDelta
        ? last.reduce((sum, point) => sum + Number(point?.bucketCounts[at]), 0)
        : Number(last.at(-1)?.bucketCounts[at]),
    );
    assert.deepEqual(buckets, [1, 1]);
    assert.match(requests.metrics[0] ?? "", /"team".+"x"/);
    assert.match(requests.metrics[0] ?? "", /otelcol_process_cpu_seconds/);
  });
}

test("own spans are sent in batches, with what happened", async (context) => {
  const { port, requests, has } = await backend(context, [
    { code: GRPC.unavailable, message: "not yet" },
  ]);
  const processors = [{ batch: { schedule_delay: 1, ...grpcTo(port) } }];
  const own = service({ traces: { processors } });
  await own.start();
  const { tracer } = own.forComponent({});
  tracer?.start("exporter/otlp/traces", { exporter: "otlp" })?.end({ "items.sent": 5 });
  tracer?.start("receiver/otlp/LogsReceived", { receiver: "otlp" })?.end({}, "queue is full");
  await has("traces", 1);
  await own.shutdown();
  const text = requests.traces.join();
  assert.match(text, /"name":"exporter\/otlp\/traces"/);
  assert.match(text, /"items.sent","value":{"intValue":"5"}/);
  assert.match(text, /"status":{"message":"queue is full","code":2}/);
});

test("the sampler keeps its share, and none when off", () => {
  const kept = (sampler: object): number => {
    const processors = [{ batch: { exporter: { console: {} } } }];
    const { tracer } = service({ traces: { processors, sampler } }).forComponent({});
    let spans = 0;
    for (let at = 0; at < 4_000; at++) if (tracer?.start("x", {}) !== undefined) spans++;
    return spans;
  };
  assert.equal(kept({ always_off: {} }), 0);
  assert.equal(kept({ always_on: {} }), 4_000);
  assert.equal(kept({ parent_based: { root: { trace_id_ratio_based: { ratio: 0 } } } }), 0);
  // 4,000 draws of a quarter: 27 is the standard deviation.
  const quarter = kept({ trace_id_ratio_based: { ratio: 0.25 } });
  assert.ok(quarter > 1_000 - 8 * 27 && quarter < 1_000 + 8 * 27, String(quarter));
});

test("without processors there is no tracer", () => {
  assert.equal(service({}).forComponent({}).tracer, undefined);
});

test("log lines go out with severity and fields; what is filtered does not", async (context) => {
  const { port, requests, has } = await backend(context);
  const processors = [{ simple: grpcTo(port) }];
  const own = service({ logs: { level: "info", processors } });
  await own.start();
  const { logger } = own.forComponent({ "otelcol.component.id": "otlp" });
  logger.debug("Too fine");
  logger.warn("Watch out", { left: 3 });
  await has("logs", 1);
  await own.shutdown();
  const text = requests.logs.join();
  assert.match(text, /"severityNumber":13,"severityText":"warn"/);
  assert.match(text, /"stringValue":"Watch out"/);
  assert.match(text, /"left","value":{"intValue":"3"}/);
  assert.match(text, /"otelcol.component.id"/);
  assert.doesNotMatch(text, /Too fine/);
});

test("a back end that is not there costs what it should have got, counted, and no more", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-telemetry-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "log");
  const limits = {
    schedule_delay: 1,
    export_timeout: 50,
    max_queue_size: 4,
    max_export_batch_size: 2,
  };
  const own = service(
    {
      traces: { processors: [{ batch: { ...limits, ...grpcTo(1) } }] },
      metrics: { level: "none" },
    },
    path,
  );
  await own.start();
  const { tracer } = own.forComponent({});
  for (let at = 0; at < 100; at++) tracer?.start("x", {})?.end({});
  await own.shutdown();
  assert.match(readFileSync(path, "utf8"), /Own telemetry cannot be sent/);
  const dropped = (reason: string): number =>
    own
      .forComponent({})
      .counter("backstitch_own_telemetry_dropped_items", COUNT, { signal: "traces", reason }).value;
  assert.equal(dropped("queue_full") + dropped("send_failed"), 100);
});
