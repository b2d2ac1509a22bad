// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { validateRequest } from "../../src/pdata/validate.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

function spans(count: number): Batch {
  const json = {
    resourceSpans: [
      { scopeSpans: [{ spans: Array.from({ length: count }, () => ({ kind: 1 })) }] },
    ],
  };
  const result = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(json));
  assert.ok(result.ok);
  return { signal: "traces", chunks: [result.bytes], items: count, bytes: result.bytes.length };
}

interface Running {
  readonly input: Subject<Batch>;
  readonly sent: Batch[];
  readonly memory: MemoryTelemetry;
}

function run(options: object): Running {
  const memory = createMemoryTelemetry();
  const processor = factory.create(
    {
      id: "batch",
      telemetry: memory.telemetry,
      buildInfo: { version: "1" },
      signal: "traces",
      pipelineId: "traces",
    },
    configSchema.parse(options),
  );
  const input = new Subject<Batch>();
  const sent: Batch[] = [];
  processor.process(input).subscribe((batch) => sent.push(batch));
  return { input, sent, memory };
}

const items = (sent: readonly Batch[]): number[] => sent.map((batch) => batch.items);

test("batches are joined until the size is reached, as the same chunks", async () => {
  const { input, sent, memory } = run({ send_batch_size: 5, timeout: "10s" });
  const parts = [spans(2), spans(2), spans(2)];
  for (const part of parts) input.next(part);
  assert.deepEqual(items(sent), [6]);
  assert.deepEqual(
    sent[0]?.chunks,
    parts.flatMap((part) => part.chunks),
  );
  const series = 'otelcol_processor_batch_batch_size_trigger_send{processor="batch"}';
  assert.equal(await memory.value(series), 1);
});

test("what is held is sent after the timeout", async () => {
  const { input, sent, memory } = run({ timeout: "20ms" });
  input.next(spans(1));
  assert.deepEqual(items(sent), []);
  await eventually(
    async () => sent.length,
    (count) => count > 0,
  );
  assert.deepEqual(items(sent), [1]);
  const series = 'otelcol_processor_batch_timeout_trigger_send{processor="batch"}';
  assert.equal(await memory.value(series), 1);
});

test("the end of the input sends what is held", () => {
  const { input, sent } = run({ timeout: "10s" });
  input.next(spans(3));
  input.complete();
  assert.deepEqual(items(sent), [3]);
});

test("larger batches are cut and every part is well-formed", () => {
  const { input, sent } = run({ send_batch_size: 4, send_batch_max_size: 4, timeout: "10s" });
  input.next(spans(3));
  input.next(spans(7));
  input.complete();
  assert.deepEqual(items(sent), [4, 4, 2]);
  for (const batch of sent) {
    assert.equal(validateRequest("traces", Buffer.concat(batch.chunks)), batch.items);
  }
});

test("a producer is answered as soon as its batch is held", () => {
  const { input } = run({ timeout: "10s" });
  const outcomes: Outcome[] = [];
  input.next({ ...spans(1), receipt: { settle: (outcome) => outcomes.push(outcome) } });
  assert.deepEqual(outcomes, [{ kind: "accepted" }]);
  input.complete();
});

test("the configuration has the Collector's defaults and refusals", () => {
  const config = configSchema.parse({});
  assert.deepEqual(
    [config.timeout, config.send_batch_size, config.send_batch_max_size],
    [200, 8192, 0],
  );
  const issues = configSchema.safeParse({ send_batch_max_size: 10 }).error?.issues;
  assert.equal(
    issues?.[0]?.message,
    "send_batch_max_size must be greater or equal to send_batch_size",
  );
});
