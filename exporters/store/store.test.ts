// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Exporter } from "../../src/component/component.ts";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { StoreReader } from "../../src/store/store-reader.ts";
import { body, openStore, temporaryDirectory, testSpan } from "../../src/store/test-support.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

const HOST = { extension: () => undefined, fatal: () => undefined };

function exporter(directory: string): {
  readonly store: Exporter;
  readonly memory: MemoryTelemetry;
} {
  const memory = createMemoryTelemetry();
  const { telemetry } = memory;
  const store = factory.create(
    { id: "store", telemetry, buildInfo: { version: "1" }, signal: "traces" },
    configSchema.parse({ directory }),
  );
  return { store, memory };
}

function batch(first: number, count: number): Batch {
  const spans = Array.from({ length: count }, (_, at) => testSpan(first + at));
  const bytes = body("a", spans);
  return { signal: "traces", chunks: [bytes], items: count, bytes: bytes.length };
}

function spansIn(directory: string): number {
  const reader = new StoreReader(directory, Date.now);
  const spans = reader.facts()?.spans ?? 0;
  reader.close();
  return spans;
}

async function started(context: TestContext): Promise<{ store: Exporter; directory: string }> {
  const directory = join(await temporaryDirectory(context), "deep", "store");
  const { store } = exporter(directory);
  await store.start(HOST);
  return { store, directory };
}

test("what was accepted is in the files after the shutdown", async (context) => {
  const { store, directory } = await started(context);
  const outcomes = new Map<number, Outcome>();
  for (let at = 0; at < 20; at++) {
    // The first call counts.
    const settle = (outcome: Outcome): void => {
      if (!outcomes.has(at)) outcomes.set(at, outcome);
    };
    assert.ok(store.accept({ ...batch(at * 100, 100), receipt: { settle } }));
  }
  await store.shutdown(AbortSignal.timeout(10_000));
  assert.equal(spansIn(directory), 2_000);
  assert.equal(outcomes.size, 20);
  assert.ok([...outcomes.values()].every(({ kind }) => kind === "accepted"));
});

test("a second run goes on behind what the first has written", async (context) => {
  const { store, directory } = await started(context);
  store.accept(batch(0, 10));
  await store.shutdown(AbortSignal.timeout(10_000));
  const second = exporter(directory).store;
  await second.start(HOST);
  second.accept(batch(10, 10));
  await second.shutdown(AbortSignal.timeout(10_000));
  assert.equal(spansIn(directory), 20);
});

test("a directory that cannot be made is an error at start that says what to do", async (context) => {
  const folder = await temporaryDirectory(context);
  await writeFile(join(folder, "file"), "");
  const { store } = exporter(join(folder, "file", "store"));
  await assert.rejects(store.start(HOST), /store .*: ENOTDIR.*Check the path, its permissions/);
  await store.shutdown(AbortSignal.timeout(1_000));
});

test("a directory that another writer has is refused", async (context) => {
  const directory = await temporaryDirectory(context);
  await mkdir(directory, { recursive: true });
  const other = await openStore(context, directory);
  const { store } = exporter(directory);
  await assert.rejects(store.start(HOST), /writes there\. Stop it, or choose another directory/);
  await store.shutdown(AbortSignal.timeout(1_000));
  await other.writer.close();
});

test("a directory is required, and a size below 8 MiB is refused", () => {
  assert.match(configSchema.safeParse({}).error?.message ?? "", /directory must be non-empty/);
  const small = configSchema.safeParse({ directory: "x", max_size_mib: 7 });
  assert.match(small.error?.message ?? "", /max_size_mib must be at least 8/);
});
