// SPDX-License-Identifier: Apache-2.0
// A backend that is not there, comes back, refuses, or never answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { pathOf } from "../support/judge.ts";
import { startOtlpSink } from "../support/otlp-sink.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";
import { buildStock, stock } from "../support/services.ts";

const QUEUE_SIZE = 6;

interface Bed extends AsyncDisposable {
  readonly agent: TestAgent;
  readonly backendPort: number;
  /** One request, one span; each in a batch of its own when `pauseMs` is above the batch timeout. */
  request(ids: readonly number[], pauseMs: number): Promise<void>;
}

/** An agent that sends to a port where nobody listens yet. */
async function startBed(exporter: string): Promise<Bed> {
  const [backendPort = 0] = await freePorts(1);
  const server: RunningProcess = await startProcess(
    stock({ listen: "127.0.0.1:0" }, await buildStock()),
  );
  const endpoint = `endpoint: "127.0.0.1:${backendPort}", tls: {insecure: true}, compression: none`;
  const agent = await startTestAgent({
    targets: `[{pids: ${server.pid}, name: stock}]`,
    file: false,
    stitch: "{reorder_wait: 0s}",
    batch: "{timeout: 50ms}",
    exporters: { yaml: `otlp_grpc: {${endpoint}, ${exporter}}`, ids: ["otlp_grpc"] },
  });
  return {
    agent,
    backendPort,
    request: async (ids, pauseMs) => {
      for (const id of ids) {
        const text = `GET /stock/${id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
        await exchangeRaw({ port: server.port, sends: [text] });
        await delay(pauseMs);
      }
    },
    [Symbol.asyncDispose]: async () => {
      await agent[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

async function exporterCounts(agent: TestAgent): Promise<Readonly<Record<string, number>>> {
  const metrics = await agent.metrics();
  const of = (name: string): number => total(metrics, `otelcol_exporter_${name}`);
  return {
    sent: of("sent_spans"),
    failed: of("send_failed_spans"),
    refused: of("enqueue_failed_spans"),
    queued: of("queue_size"),
    capacity: of("queue_capacity"),
  };
}

test("while the backend is away a bounded queue waits, drops are counted, then all is delivered", async () => {
  await using bed = await startBed(
    `sending_queue: {queue_size: ${QUEUE_SIZE}, num_consumers: 1}, retry_on_failure: {initial_interval: 100ms, max_interval: 300ms, max_elapsed_time: 0s}`,
  );
  await bed.request(range(1, 14), 120);
  const away = await eventually(
    async () => await exporterCounts(bed.agent),
    ({ queued = 0, refused = 0 }) => queued + refused >= 14,
  );
  assert.deepEqual(away, {
    ...{ sent: 0, failed: 0, refused: 14 - QUEUE_SIZE, queued: QUEUE_SIZE, capacity: QUEUE_SIZE },
  });
  assert.match(bed.agent.process.output(), /Will retry the request after interval/);
  assert.match(bed.agent.process.output(), /sending queue is full/);

  await using sink = await startOtlpSink(bed.backendPort, "accept");
  const back = await eventually(
    async () => await exporterCounts(bed.agent),
    ({ queued }) => queued === 0,
  );
  assert.deepEqual(back, {
    ...{ sent: QUEUE_SIZE, failed: 0, refused: 14 - QUEUE_SIZE, queued: 0, capacity: QUEUE_SIZE },
  });
  // The first to come were kept, in their order; what was refused is what came later.
  assert.deepEqual(
    sink.spans.map((span) => Number(pathOf(span).id)),
    range(1, QUEUE_SIZE),
  );
  await bed.request(range(100, 102), 0);
  await eventually(
    async () => sink.spans.length,
    (length) => length >= QUEUE_SIZE + 3,
  );
  assert.equal(sink.spans.length, QUEUE_SIZE + 3);
});

test("a backend that refuses is asked again after ever longer intervals", async () => {
  await using bed = await startBed(
    "retry_on_failure: {initial_interval: 100ms, randomization_factor: 0, multiplier: 2, max_interval: 500ms, max_elapsed_time: 0s}",
  );
  await using sink = await startOtlpSink(bed.backendPort, "unavailable");
  await bed.request([1], 0);
  await eventually(
    async () => sink.callsMs.length,
    (length) => length >= 6,
  );
  const calls = sink.callsMs.slice(0, 6);
  sink.mood = "accept";
  const gaps = calls.slice(1).map((ms, index) => ms - (calls[index] ?? 0));
  for (const [index, wanted] of [100, 200, 400, 500, 500].entries()) {
    const gap = gaps[index] ?? 0;
    assert.ok(gap >= wanted - 5 && gap < wanted + 250, `gap ${index + 1} lasts ${gap} ms`);
  }
  await eventually(
    async () => sink.spans.length,
    (length) => length > 0,
  );
  assert.deepEqual(
    sink.spans.map((span) => pathOf(span).id),
    ["1"],
  );
});

test("a backend that never answers costs its spans, counted, and neither memory nor the exit", async () => {
  await using bed = await startBed(
    `timeout: 200ms, sending_queue: {queue_size: ${QUEUE_SIZE}, num_consumers: 2}, retry_on_failure: {initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 600ms}`,
  );
  await using sink = await startOtlpSink(bed.backendPort, "silent");
  await bed.request(range(1, 4), 100);
  const lost = await eventually(
    async () => await exporterCounts(bed.agent),
    ({ failed = 0 }) => failed >= 4,
  );
  assert.deepEqual(lost, {
    ...{ sent: 0, failed: 4, refused: 0, queued: 0, capacity: QUEUE_SIZE },
  });
  assert.ok(sink.callsMs.length > 4, "it was tried again");
  assert.match(bed.agent.process.output(), /Exporting failed\. Dropping data/);
  await bed.request([5], 100);
  const startMs = performance.now();
  await bed.agent.stop();
  assert.ok(performance.now() - startMs < 5_000, "the exit does not wait for the backend");
  assert.deepEqual(await bed.agent.process.ended, { code: 0, signal: null });
});

test("a second signal ends a drain that takes too long", async () => {
  await using bed = await startBed("timeout: 20s");
  await using sink = await startOtlpSink(bed.backendPort, "silent");
  await bed.request([1], 0);
  await eventually(
    async () => sink.callsMs.length,
    (calls) => calls > 0,
  );
  process.kill(bed.agent.pid, "SIGTERM");
  const first = await Promise.race([bed.agent.process.ended, delay(700, "draining" as const)]);
  assert.equal(first, "draining");
  process.kill(bed.agent.pid, "SIGINT");
  const second = await Promise.race([bed.agent.process.ended, delay(2_000, "draining" as const)]);
  assert.deepEqual(second, { code: 130, signal: null });
});

test("at the exit what is still queued is sent", async () => {
  await using bed = await startBed("retry_on_failure: {initial_interval: 10s}");
  await using sink = await startOtlpSink(bed.backendPort, "accept");
  await bed.request(range(1, 20), 0);
  await bed.agent.stop();
  assert.deepEqual(
    sink.spans.map((span) => Number(pathOf(span).id)).sort((a, b) => a - b),
    range(1, 20),
  );
});
