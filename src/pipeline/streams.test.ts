// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Subject } from "rxjs";
import type { PipelineSettings } from "../component/component.ts";
import type { Batch, Outcome } from "../model/batch.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import { perBatch } from "./per-batch.ts";
import { createReceipt, joinReceipts, splitReceipt } from "./receipt.ts";
import { batchOf, watchedBatch } from "./test-support.ts";
import { type BatchTrigger, timedBatch } from "./timed-batch.ts";

const REFUSED: Outcome = { kind: "refused", retryable: true, message: "full" };
const PERMANENT: Outcome = { kind: "refused", retryable: false, message: "bad" };

function pipelineSettings() {
  const memory = createMemoryTelemetry();
  const settings: PipelineSettings = {
    id: "work",
    signal: "traces",
    pipelineId: "traces",
    telemetry: memory.telemetry,
    buildInfo: { version: "0" },
  };
  return { memory, settings };
}

test("a split receipt settles with the worst outcome after all ways have settled", () => {
  for (const [outcomes, expected] of [
    [[{ kind: "accepted" }, { kind: "accepted" }], { kind: "accepted" }],
    [[REFUSED, { kind: "accepted" }], REFUSED],
    [[PERMANENT, REFUSED], PERMANENT],
    [
      [{ kind: "dropped", reason: "sampled" }, { kind: "accepted" }],
      { kind: "dropped", reason: "sampled" },
    ],
  ] satisfies [Outcome[], Outcome][]) {
    const settled: Outcome[] = [];
    const shares = splitReceipt(
      createReceipt((outcome) => settled.push(outcome)),
      outcomes.length,
    );
    outcomes.forEach((outcome, at) => {
      assert.equal(settled.length, 0);
      shares[at]?.settle(outcome);
      shares[at]?.settle(outcome);
    });
    assert.deepEqual(settled, [expected]);
  }
});

test("a joined receipt settles every one of its parts", () => {
  const [one, two] = [watchedBatch(1), watchedBatch(1)];
  joinReceipts([one.batch.receipt, undefined, two.batch.receipt])?.settle(REFUSED);
  assert.deepEqual([one.outcome(), two.outcome()], [REFUSED, REFUSED]);
  assert.equal(joinReceipts([undefined]), undefined);
});

test("a batch that a processor throws on costs itself, is counted, and the stream goes on", async () => {
  const { memory, settings } = pipelineSettings();
  const input = new Subject<Batch>();
  const got: number[] = [];
  input
    .pipe(
      perBatch(settings, (batch) => {
        if (batch.items === 2) throw new Error("poison");
        return batch.items === 3 ? [batchOf(30), batchOf(31)] : batch;
      }),
    )
    .subscribe((batch) => got.push(batch.items));
  const poison = watchedBatch(2);
  for (const batch of [batchOf(1), poison.batch, poison.batch, batchOf(3)]) input.next(batch);
  assert.deepEqual(got, [1, 30, 31]);
  assert.deepEqual(poison.outcome(), { kind: "refused", retryable: false, message: "poison" });
  const failed = 'otelcol_processor_failed_items{otel_signal="traces",processor="work"}';
  assert.equal(await memory.value(failed), 4);
  assert.equal(memory.lines.length, 1, "one line a second");
});

test("completion flushes what a processor holds", () => {
  const { settings } = pipelineSettings();
  const input = new Subject<Batch>();
  const got: (number | "end")[] = [];
  input
    .pipe(perBatch(settings, () => undefined, { flush: () => batchOf(9) }))
    .subscribe({ next: (batch) => got.push(batch.items), complete: () => got.push("end") });
  input.next(batchOf(1));
  input.complete();
  assert.deepEqual(got, [9, "end"]);
});

function timed(overrides: Partial<Parameters<typeof timedBatch>[0]>) {
  const input = new Subject<Batch>();
  const sent: [number, BatchTrigger][] = [];
  const batches: Batch[] = [];
  input
    .pipe(
      timedBatch({
        itemsMin: 10,
        timeoutMs: 200,
        bytesMax: 1_000,
        receipts: "settle",
        onSend: (batch, trigger) => sent.push([batch.items, trigger]),
        ...overrides,
      }),
    )
    .subscribe((batch) => batches.push(batch));
  return { input, sent, batches };
}

test("batches are joined until the size, the bytes or the time is reached", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { input, sent, batches } = timed({});
    for (const items of [4, 4, 4]) input.next(batchOf(items));
    assert.deepEqual(sent, [[12, "size"]]);
    assert.equal(batches[0]?.chunks.length, 3);
    input.next(batchOf(1));
    mock.timers.tick(199);
    assert.equal(sent.length, 1);
    mock.timers.tick(1);
    assert.deepEqual(sent[1], [1, "timeout"]);
    input.next(batchOf(1, 1_000));
    assert.deepEqual(sent[2], [1, "size"]);
    mock.timers.tick(1_000);
    assert.equal(sent.length, 3, "no timer is left");
    input.next(batchOf(2));
    input.complete();
    assert.deepEqual(sent[3], [2, "flush"]);
  } finally {
    mock.timers.reset();
  }
});

test("no batch is larger than itemsMax, and the rest waits for its own time", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { input, sent } = timed({
      itemsMax: 10,
      split: (batch, items) => [
        batchOf(items),
        batch.items > items ? batchOf(batch.items - items) : undefined,
      ],
    });
    input.next(batchOf(25));
    assert.deepEqual(sent, [
      [10, "size"],
      [10, "size"],
    ]);
    mock.timers.tick(200);
    assert.deepEqual(sent[2], [5, "timeout"]);
  } finally {
    mock.timers.reset();
  }
});

test("receipts are settled when held, or travel with the joined batch", () => {
  const one = watchedBatch(4);
  timed({}).input.next(one.batch);
  assert.deepEqual(one.outcome(), { kind: "accepted" });
  const held = [watchedBatch(5), watchedBatch(5)];
  const { input, batches } = timed({ receipts: "hold" });
  for (const { batch } of held) input.next(batch);
  assert.equal(held[0]?.outcome(), undefined);
  batches[0]?.receipt?.settle(REFUSED);
  assert.deepEqual(
    held.map(({ outcome }) => outcome()),
    [REFUSED, REFUSED],
  );
});
