// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BehaviorSubject, Subject } from "rxjs";
import type { Fields, Telemetry } from "../component/telemetry.ts";
import type { Batch } from "../model/batch.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { createQueuedExporter, retrySchema, sendingQueueSchema } from "./export-helper.ts";
import { Pipeline } from "./pipeline.ts";
import { ReceiverOutlet } from "./receiver-outlet.ts";
import { batchOf, watchedBatch } from "./test-support.ts";

interface Told {
  readonly name: string;
  readonly fields: Fields;
  readonly error: string | undefined;
}

function traced(): { telemetry: Telemetry; told: Told[] } {
  const told: Told[] = [];
  const telemetry: Telemetry = {
    ...createMemoryTelemetry().telemetry,
    tracer: {
      start: (name, first) => ({
        end: (more, error) => told.push({ name, fields: { ...first, ...more }, error }),
      }),
    },
  };
  return { telemetry, told };
}

const buildInfo = { version: "0" };

test("an exporter's span says what was sent and what was not", async () => {
  const { telemetry, told } = traced();
  const answers = [Promise.resolve(), Promise.reject(new Error("refused"))];
  const exporter = createQueuedExporter(
    { id: "out/x", signal: "traces", telemetry, buildInfo },
    {
      timeoutMs: 0,
      sendingQueue: sendingQueueSchema().parse({ num_consumers: 1 }),
      retryOnFailure: retrySchema().parse({ enabled: false }),
    },
    () => answers.shift() ?? Promise.resolve(),
  );
  exporter.accept(batchOf(3));
  exporter.accept(batchOf(4));
  await exporter.shutdown(new AbortController().signal);
  const name = "exporter/out/x/traces";
  assert.deepEqual(told, [
    { name, fields: { exporter: "out/x", "items.sent": 3, "items.failed": 0 }, error: undefined },
    { name, fields: { exporter: "out/x", "items.sent": 0, "items.failed": 4 }, error: "refused" },
  ]);
});

test("a receiver's span ends with the answer to its sender", () => {
  const { telemetry, told } = traced();
  const settings = { id: "otlp", telemetry, buildInfo, signal: "traces", pipelineId: "t" } as const;
  let hasRoom = true;
  const exporter = {
    ready: new BehaviorSubject(true),
    accept: (batch: Batch) => {
      if (hasRoom) batch.receipt?.settle({ kind: "accepted" });
      return hasRoom;
    },
  };
  const pipeline = new Pipeline({
    settings,
    processors: [],
    exporters: [{ id: "nop", kind: "exporter", exporter }],
    onBroken: () => undefined,
  });
  pipeline.wire();
  const output = new Subject<Batch>();
  const idle = async (): Promise<void> => undefined;
  const receiver = { output: () => output, start: idle, shutdown: idle };
  const onBroken = (): void => undefined;
  const inputs = { settings, receiver, signal: "traces", pipelines: [pipeline], onBroken } as const;
  new ReceiverOutlet(inputs).wire();
  output.next({ ...watchedBatch(5).batch, transport: "grpc" });
  hasRoom = false;
  output.next(watchedBatch(6).batch);
  const name = "receiver/otlp/TraceDataReceived";
  assert.deepEqual(told[0], {
    name,
    fields: { receiver: "otlp", transport: "grpc", accepted_spans: 5 },
    error: undefined,
  });
  assert.deepEqual(told[1]?.fields, { receiver: "otlp", transport: "", refused_spans: 6 });
  assert.match(told[1]?.error ?? "", /sending queue is full/);
});
