// SPDX-License-Identifier: Apache-2.0
/** The exporter helper with a queue that is stored. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "../component/component.ts";
import { AgentError } from "../component/errors.ts";
import type { Journal, JournalEntry, StorageExtension } from "../component/storage.ts";
import { createMemoryTelemetry } from "../telemetry/memory-telemetry.ts";
import {
  createQueuedExporter,
  type Push,
  retrySchema,
  sendingQueueSchema,
} from "./export-helper.ts";
import { batchOf, sleepMs, watchedBatch } from "./test-support.ts";

const NEVER_ABORTED = new AbortController().signal;

/** A journal in memory that can refuse and forget. */
class FakeJournal implements Journal {
  readonly kept = new Map<number, { readonly entry: JournalEntry; readonly bytes: Uint8Array }>();
  isFull = false;
  isDamaged = false;
  #sequence = 0;

  entries(): readonly JournalEntry[] {
    return [...this.kept.values()].map(({ entry }) => entry);
  }
  append(chunks: readonly Uint8Array[], tag: number): JournalEntry {
    if (this.isFull) throw new Error("ENOSPC: no space left on device, write");
    const bytes = Buffer.concat(chunks);
    const entry = { sequence: ++this.#sequence, bytes: bytes.length, tag };
    this.kept.set(entry.sequence, { entry, bytes });
    return entry;
  }
  read({ sequence }: JournalEntry): Uint8Array | undefined {
    return this.isDamaged ? undefined : this.kept.get(sequence)?.bytes;
  }
  remove({ sequence }: JournalEntry): void {
    this.kept.delete(sequence);
  }
  async synced(): Promise<void> {}
  close(): void {}
}

function create(push: Push, journal: FakeJournal) {
  const memory = createMemoryTelemetry();
  const config = {
    timeoutMs: 1_000,
    sendingQueue: sendingQueueSchema().parse({ storage: "disk", num_consumers: 1 }),
    retryOnFailure: retrySchema().parse({
      initial_interval: "1h",
      max_interval: "1h",
      max_elapsed_time: "0s",
    }),
  };
  const settings = {
    id: "out",
    signal: "traces",
    telemetry: memory.telemetry,
    buildInfo: { version: "0" },
  } as const;
  const exporter = createQueuedExporter(settings, config, push);
  const storage: StorageExtension = {
    start: async () => {},
    shutdown: async () => {},
    openJournal: async () => journal,
  };
  const host: Host = {
    extension: (id) => (id === "disk" ? storage : undefined),
    fatal: () => assert.fail(),
  };
  return { exporter, host, memory };
}

test("what is delivered leaves the journal; what waits at shutdown stays and is sent later", async () => {
  const journal = new FakeJournal();
  const failing = create(async () => {
    throw new AgentError("BS_EXPORT", "down", { retryable: true });
  }, journal);
  await failing.exporter.start(failing.host);
  for (const items of [3, 4]) assert.equal(failing.exporter.accept(batchOf(items)), true);
  await sleepMs(5);
  await failing.exporter.shutdown(NEVER_ABORTED);
  assert.deepEqual(
    journal.entries().map(({ tag }) => tag),
    [3, 4],
  );
  const failed = 'otelcol_exporter_send_failed_spans{exporter="out"}';
  assert.equal(await failing.memory.value(failed), 0);

  const sent: number[] = [];
  const working = create(async (batch) => void sent.push(batch.items), journal);
  await working.exporter.start(working.host);
  await working.exporter.shutdown(NEVER_ABORTED);
  assert.deepEqual(sent, [3, 4]);
  assert.equal(journal.entries().length, 0);
});

test("a full disk refuses what comes, so that its sender may try again", async () => {
  const journal = new FakeJournal();
  const { exporter, host } = create(async () => {}, journal);
  await exporter.start(host);
  journal.isFull = true;
  assert.equal(exporter.accept(batchOf(2)), false);
  journal.isFull = false;
  const { batch, outcome } = watchedBatch(2);
  assert.equal(exporter.accept(batch), true);
  await sleepMs(1);
  assert.deepEqual(outcome(), { kind: "accepted" });
  await exporter.shutdown(NEVER_ABORTED);
});

test("what the disk has lost is counted and does not stop the rest", async () => {
  const journal = new FakeJournal();
  journal.append([new Uint8Array(9)], 9);
  journal.isDamaged = true;
  const { exporter, host, memory } = create(async () => {}, journal);
  await exporter.start(host);
  assert.equal(exporter.accept(batchOf(2)), true);
  await exporter.shutdown(NEVER_ABORTED);
  const dropped = 'backstitch_exporter_dropped_spans{exporter="out",reason="unreadable"}';
  assert.equal(await memory.value(dropped), 9);
  assert.equal(await memory.value('otelcol_exporter_sent_spans{exporter="out"}'), 2);
  assert.equal(journal.entries().length, 0);
});

test("a storage that is not there is an error at start", async () => {
  const { exporter, host } = create(async () => {}, new FakeJournal());
  const without = { ...host, extension: () => undefined };
  await assert.rejects(exporter.start(without), /storage: there is no extension "disk"/);
  await exporter.shutdown(NEVER_ABORTED);
});
