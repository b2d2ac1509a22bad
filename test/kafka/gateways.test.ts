// SPDX-License-Identifier: Apache-2.0
// Gateways that share a topic's partitions, on a real broker.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { configSchema } from "../../exporters/kafka/config.ts";
import { createKafkaExporter } from "../../exporters/kafka/kafka.ts";
import type { Exporter } from "../../src/component/component.ts";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { loadKafka } from "../../src/transport/kafka.ts";
import { eventually } from "../support/eventually.ts";
import { startKafka } from "../support/kafka.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { type OtlpSink, startOtlpSink } from "../support/otlp-sink.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");
const HOST = { extension: () => undefined, fatal: () => undefined };
const SPANS_TOPIC = "otlp_spans";
const JOINTS_TOPIC = "otlp_joints";
const WAIT_MS = 60_000;

/** A way to the broker that the test can take away. */
async function startWay(
  port: number,
): Promise<{ open: (to: number) => Promise<void>; cut(): void }> {
  const sockets = new Set<Socket>();
  let target = 0;
  const server = createServer((socket) => {
    const upstream = connect(target, "127.0.0.1");
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    socket.pipe(upstream).pipe(socket);
  });
  return {
    open: (to) => {
      target = to;
      return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
    },
    cut: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Three agents see three services of a request each: what one sends of trace `n`. */
function pieceOf(n: number, agent: 0 | 1 | 2): object[] {
  const id = (what: number): string => (n * 16 + what).toString(16).padStart(16, "0");
  const traceId = `${"abc"[agent]}${n.toString(16)}`.padStart(32, "d");
  const at = (ns: number): string => `${1_700_000_000_000_000_000n + BigInt(n * 1000 + ns)}`;
  const peer = (of: number) => ({
    attributes: [{ key: "stitch.peer_span_id", value: { stringValue: id(of) } }],
  });
  const span = (what: number, kind: number, more: object) => ({
    ...{ traceId, spanId: id(what), kind, name: `GET /${n}` },
    ...{ startTimeUnixNano: at(what * 10), endTimeUnixNano: at(999 - what * 10), ...more },
  });
  if (agent === 2) return [span(5, 2, peer(4))];
  const server = span(agent * 2 + 1, 2, agent === 0 ? {} : peer(2));
  return [server, span(agent * 2 + 2, 3, { parentSpanId: id(agent * 2 + 1) })];
}

function batchOf(agent: 0 | 1 | 2, from: number, to: number): Batch {
  const spans = Array.from({ length: to - from }, (_, n) => pieceOf(from + n, agent)).flat();
  const resource = {
    attributes: [
      { key: "service.name", value: { stringValue: `service-${agent}` } },
      { key: "host.name", value: { stringValue: `node-${agent}` } },
    ],
  };
  const body = { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

async function startExporter(broker: number): Promise<Exporter> {
  const { telemetry } = createMemoryTelemetry();
  const config = configSchema.parse({
    brokers: [`127.0.0.1:${broker}`],
    traces: { topic: SPANS_TOPIC, stitch_topic: JOINTS_TOPIC },
    partition_traces_by_id: true,
    timeout: "2s",
    producer: { allow_auto_topic_creation: false, required_acks: -1 },
    retry_on_failure: { initial_interval: "100ms", max_interval: "500ms" },
  });
  const settings = { id: "kafka", telemetry, buildInfo: { version: "1" } };
  const exporter = createKafkaExporter({ ...settings, signal: "traces" }, config);
  await exporter.start(HOST);
  return exporter;
}

interface GatewayOptions {
  readonly folder: string;
  readonly name: string;
  readonly group: string;
  readonly broker: number;
  readonly sink: OtlpSink;
}

async function startGateway(options: GatewayOptions): Promise<RunningProcess> {
  const { folder, name, group, broker, sink } = options;
  const config = join(folder, `${name}.yaml`);
  writeFileSync(
    config,
    `
receivers:
  kafka:
    brokers: ["127.0.0.1:${broker}"]
    group_id: ${group}
    group_instance_id: ${name}
    initial_offset: earliest
    session_timeout: 30s
    heartbeat_interval: 500ms
    autocommit: {interval: 50ms}
    message_marking: {after: true}
    traces: {topics: [${SPANS_TOPIC}], stitch_topic: ${JOINTS_TOPIC}, stitch_lookback: 10m}
processors: {span_stitch: {mode: gateway, gateway: {window: 3s}}}
exporters:
  otlp_grpc:
    endpoint: http://127.0.0.1:${sink.port}
    compression: none
    sending_queue: {wait_for_result: true}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [kafka], processors: [span_stitch], exporters: [otlp_grpc]}}
`,
  );
  return await startProcess({
    command: BACKSTITCH,
    args: ["--config", config],
    readyOutput: /Everything is ready/,
    readyTimeoutMs: 60_000,
  });
}

async function createTopics(broker: number): Promise<void> {
  const { Admin } = await loadKafka();
  const admin = new Admin({ clientId: "test", bootstrapBrokers: [`127.0.0.1:${broker}`] });
  await admin.createTopics({ topics: [SPANS_TOPIC], partitions: 6, replicas: 1 });
  await admin.createTopics({ topics: [JOINTS_TOPIC], partitions: 2, replicas: 1 });
  await admin.close();
}

/** By span id; a span that came twice came alike. */
function bySpanId(spans: readonly FlatSpan[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const { spanId, traceId, parentSpanId, name, service, attributes } of spans) {
    const text = JSON.stringify({
      ...{ traceId, parentSpanId, name, service },
      attributes: [...attributes].sort(([a], [b]) => a.localeCompare(b)),
    });
    assert.equal(map.get(spanId) ?? text, text);
    map.set(spanId, text);
  }
  return map;
}

async function allCame(sinks: readonly OtlpSink[], count: number): Promise<Map<string, string>> {
  return await eventually(
    async () => bySpanId(sinks.flatMap(({ spans }) => spans)),
    (spans) => spans.size >= count,
    WAIT_MS,
  );
}

const TRACES = 120;
const SPANS_OF_A_TRACE = 5;

test("two gateways on Kafka, one killed and restarted, give the traces of one; Kafka goes away and comes back", async () => {
  const [ownPort = 0, ...ports] = await freePorts(4);
  const folder = mkdtempSync(join(tmpdir(), "backstitch-gateways-"));
  const way = await startWay(ownPort);
  await using kafka = await startKafka(ownPort);
  await way.open(kafka.port);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  stack.defer(() => way.cut());
  await createTopics(ownPort);
  const sinks = await Promise.all(ports.map((port) => startOtlpSink(port, "accept")));
  for (const sink of sinks) stack.use(sink);
  const [one, left, right] = sinks;
  assert.ok(one !== undefined && left !== undefined && right !== undefined);
  const common = { folder, broker: ownPort };
  const [first, second] = await Promise.all([
    startGateway({ ...common, name: "first", group: "pair", sink: left }),
    startGateway({ ...common, name: "second", group: "pair", sink: right }),
    startGateway({ ...common, name: "only", group: "single", sink: one }).then((only) =>
      stack.use(only),
    ),
  ]);
  stack.use(first);
  const agents = await Promise.all([0, 1, 2].map(() => startExporter(ownPort)));
  const send = (from: number, to: number): void => {
    for (const agent of [2, 0, 1] as const) {
      assert.ok(agents[agent]?.accept(batchOf(agent, from, to)));
    }
  };
  send(0, TRACES / 2);
  // Both have a share; one is killed while it holds spans that it has read and not sent on.
  await eventually(
    async () => Math.min(left.spans.length, right.spans.length),
    (least) => least > 0,
    WAIT_MS,
  );
  send(TRACES / 2, TRACES);
  await second.stop({ signal: "SIGKILL" });
  stack.use(await startGateway({ ...common, name: "second", group: "pair", sink: right }));
  assert.ok(left.spans.length > 0 && right.spans.length > 0);
  const count = TRACES * SPANS_OF_A_TRACE;
  const expected = await allCame([one], count);
  assert.equal(expected.size, count);
  assert.deepEqual(await allCame([left, right], count), expected);
  // And what they give is right: each request is one trace with five levels.
  for (let n = 0; n < TRACES; n++) {
    const id = (what: number): string => (n * 16 + what).toString(16).padStart(16, "0");
    for (let what = 1; what <= SPANS_OF_A_TRACE; what++) {
      const { traceId, parentSpanId } = JSON.parse(expected.get(id(what)) ?? "{}");
      assert.equal(traceId, `a${n.toString(16)}`.padStart(32, "d"));
      assert.equal(parentSpanId, what === 1 ? "" : id(what - 1));
    }
  }
  way.cut();
  send(TRACES, TRACES + 10);
  await delay(1000);
  await way.open(kafka.port);
  const later = count + 10 * SPANS_OF_A_TRACE;
  const after = await allCame([one], later);
  assert.equal(after.size, later);
  assert.deepEqual(await allCame([left, right], later), after);
  await Promise.all(agents.map((agent) => agent.shutdown(AbortSignal.timeout(5000))));
});
