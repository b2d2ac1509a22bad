// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../test/support/eventually.ts";
import { AgentError } from "../component/errors.ts";
import { createMemoryTelemetry, type MemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import {
  createQueuedExporter,
  type ExportHelperConfig,
  type Push,
  retrySchema,
  sendingQueueSchema,
} from "./export-helper.ts";
import { batchOf, sleepMs, watchedBatch } from "./test-support.ts";

const NEVER_ABORTED = new AbortController().signal;

interface Overrides {
  readonly queue?: Record<string, unknown>;
  readonly retry?: Record<string, unknown>;
  readonly timeoutMs?: number;
}

function create(push: Push, overrides: Overrides = {}) {
  const memory: MemoryTelemetry = createMemoryTelemetry();
  const config: ExportHelperConfig = {
    timeoutMs: overrides.timeoutMs ?? 1_000,
    sendingQueue: sendingQueueSchema().parse(overrides.queue ?? {}),
    retryOnFailure: retrySchema().parse({
      initial_interval: "5ms",
      max_interval: "20ms",
      max_elapsed_time: "200ms",
      ...overrides.retry,
    }),
  };
  const exporter = createQueuedExporter(
    {
      id: "out",
      signal: "traces",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
    },
    config,
    push,
  );
  const value = (name: string, more = ""): Promise<number> =>
    memory.value(`${name}{exporter="out"${more}}`);
  return { exporter, memory, value };
}

test("a batch is sent, counted and its receipt settled when it is queued", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { exporter, value } = create(() => promise);
  const { batch, outcome } = watchedBatch(7);
  assert.equal(exporter.accept(batch), true);
  assert.deepEqual(outcome(), { kind: "accepted" });
  assert.equal(await value("otelcol_exporter_sent_spans"), 0);
  resolve();
  await exporter.shutdown(NEVER_ABORTED);
  assert.equal(await value("otelcol_exporter_sent_spans"), 7);
});

test("wait_for_result keeps the receipt open until the batch is delivered", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { exporter } = create(() => promise, { queue: { wait_for_result: true } });
  const { batch, outcome } = watchedBatch(7);
  exporter.accept(batch);
  assert.equal(outcome(), undefined);
  resolve();
  await exporter.shutdown(NEVER_ABORTED);
  assert.deepEqual(outcome(), { kind: "accepted" });
});

test("without a queue the receipt says what became of the export", async () => {
  const { exporter } = create(
    async () => {
      throw new AgentError("BS_EXPORT", "bad data", { retryable: false });
    },
    { queue: { enabled: false } },
  );
  const { batch, outcome } = watchedBatch(1);
  exporter.accept(batch);
  await exporter.shutdown(NEVER_ABORTED);
  assert.deepEqual(outcome(), {
    kind: "refused",
    retryable: false,
    message: "not retryable error: Permanent error: bad data",
  });
});

test("a temporary failure is tried again until it succeeds", async () => {
  let attempts = 0;
  const { exporter, value, memory } = create(async () => {
    if (++attempts < 3) throw new Error("not now");
  });
  exporter.accept(batchOf(4));
  await eventually(
    async () => attempts,
    (count) => count === 3,
  );
  await exporter.shutdown(NEVER_ABORTED);
  assert.equal(attempts, 3);
  assert.equal(await value("otelcol_exporter_sent_spans"), 4);
  assert.equal(await value("otelcol_exporter_send_failed_spans"), 0);
  const line = memory.lines.find((entry) => entry.message.includes("Will retry"));
  assert.equal(line?.fields["error"], "not now");
});

test("a permanent failure is not tried again and is counted", async () => {
  let attempts = 0;
  const { exporter, value, memory } = create(async () => {
    attempts++;
    throw new AgentError("BS_EXPORT", "unknown method", { retryable: false });
  });
  exporter.accept(batchOf(4));
  await exporter.shutdown(NEVER_ABORTED);
  assert.equal(attempts, 1);
  assert.equal(await value("otelcol_exporter_send_failed_spans"), 4);
  assert.ok(memory.lines.some((line) => line.message === "Exporting failed. Dropping data."));
});

test("retries end after max_elapsed_time, and the loss has its reason", async () => {
  const { exporter, value } = create(
    async () => {
      throw new Error("down");
    },
    { retry: { max_elapsed_time: "40ms" } },
  );
  exporter.accept(batchOf(4));
  const failed = () => value("otelcol_exporter_send_failed_spans");
  assert.equal(await eventually(failed, (count) => count > 0), 4);
  assert.equal(await value("backstitch_exporter_dropped_spans", ',reason="retries_exhausted"'), 4);
  await exporter.shutdown(NEVER_ABORTED);
});

test("the server's throttle is the least wait", async () => {
  const times: number[] = [];
  const { exporter } = create(async () => {
    times.push(performance.now());
    if (times.length === 1) {
      throw new AgentError("BS_EXPORT", "slow down", { retryable: true, retryAfterMs: 80 });
    }
  });
  exporter.accept(batchOf(1));
  await eventually(
    async () => times.length,
    (count) => count === 2,
  );
  await exporter.shutdown(NEVER_ABORTED);
  assert.equal(times.length, 2);
  assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 79);
});

test("an attempt that gets no answer ends at the timeout, even when it ignores its signal", async () => {
  let aborted = 0;
  const { exporter, value } = create(
    (_, signal) => {
      signal.addEventListener("abort", () => aborted++);
      return new Promise(() => undefined);
    },
    { timeoutMs: 10, retry: { enabled: false } },
  );
  exporter.accept(batchOf(3));
  const failed = () => value("otelcol_exporter_send_failed_spans");
  assert.equal(await eventually(failed, (count) => count > 0), 3);
  assert.equal(aborted, 1);
  await exporter.shutdown(NEVER_ABORTED);
});

test("a full queue refuses, logs at most once a second, and keeps what it has", async () => {
  const { exporter, memory } = create(() => new Promise(() => undefined), {
    queue: { queue_size: 2 },
  });
  const answers = Array.from({ length: 50 }, () => exporter.accept(batchOf(1)));
  assert.deepEqual(answers.slice(0, 3), [true, true, false]);
  const refusals = memory.lines.filter((line) => line.message.includes("Rejecting data"));
  assert.equal(refusals.length, 1);
  const size = 'otelcol_exporter_queue_size{data_type="traces",exporter="out"}';
  const capacity = 'otelcol_exporter_queue_capacity{data_type="traces",exporter="out"}';
  assert.equal(await memory.value(size), 2);
  assert.equal(await memory.value(capacity), 2);
  await exporter.shutdown(AbortSignal.abort());
});

test("shutdown ends waits at once, tries what is queued one time, and loses nothing silently", async () => {
  let down = true;
  let attempts = 0;
  const { exporter, value } = create(
    async () => {
      attempts++;
      if (down) throw new Error("down");
    },
    {
      queue: { num_consumers: 1 },
      retry: { initial_interval: "1h", max_interval: "1h", max_elapsed_time: 0 },
    },
  );
  for (let count = 0; count < 5; count++) exporter.accept(batchOf(2));
  await eventually(
    async () => attempts,
    (count) => count === 1,
  );
  down = false;
  await exporter.shutdown(NEVER_ABORTED);
  assert.equal(await value("otelcol_exporter_sent_spans"), 8);
  assert.equal(await value("otelcol_exporter_send_failed_spans"), 2);
  assert.equal(await value("backstitch_exporter_dropped_spans", ',reason="shutdown"'), 2);
});

test("an aborted shutdown drops and counts what is queued and what is being sent", async () => {
  const { exporter, value } = create(() => new Promise(() => undefined), {
    queue: { num_consumers: 2 },
    timeoutMs: 0,
  });
  for (let count = 0; count < 5; count++) exporter.accept(batchOf(2));
  const deadline = new AbortController();
  const stopped = exporter.shutdown(deadline.signal);
  await sleepMs(10);
  deadline.abort();
  await stopped;
  await exporter.shutdown(NEVER_ABORTED);
  assert.equal(await value("backstitch_exporter_dropped_spans", ',reason="shutdown"'), 10);
  assert.equal(exporter.accept(batchOf(1)), false);
});
