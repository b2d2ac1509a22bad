// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { limitsOf, type Memory, MemoryLimiter } from "./memory-limiter.ts";
import { createProcessMemory } from "./process-memory.ts";

const MIB = 1024 * 1024;

interface FakeMemory extends Memory {
  usedMib: number;
  afterCollectMib: number | undefined;
  timeMs: number;
  collections: number;
}

function fakeMemory(): FakeMemory {
  const memory: FakeMemory = {
    usedMib: 0,
    afterCollectMib: undefined,
    timeMs: 0,
    collections: 0,
    used: () => memory.usedMib * MIB,
    total: () => 1000 * MIB,
    collect: () => {
      memory.collections++;
      memory.usedMib = memory.afterCollectMib ?? memory.usedMib;
    },
    nowMs: () => memory.timeMs,
  };
  return memory;
}

function setUp(options: object = {}) {
  const memory = fakeMemory();
  const { telemetry, value, lines } = createMemoryTelemetry();
  const limiter = new MemoryLimiter(
    {
      id: "memory_limiter",
      telemetry,
      buildInfo: { version: "1" },
      signal: "traces",
      pipelineId: "traces",
    },
    configSchema.parse({ check_interval: "1s", limit_mib: 100, ...options }),
    memory,
  );
  const input = new Subject<Batch>();
  const passed: Batch[] = [];
  limiter.process(input).subscribe((batch) => passed.push(batch));
  const outcomes: Outcome[] = [];
  const send = (): void =>
    input.next({
      signal: "traces",
      chunks: [new Uint8Array(1)],
      items: 3,
      bytes: 1,
      receipt: { settle: (outcome) => outcomes.push(outcome) },
    });
  return { memory, limiter, passed, outcomes, send, value, lines };
}

test("below the soft limit data passes, above it data is refused for a later try", async () => {
  const { memory, limiter, passed, outcomes, send, value } = setUp();
  memory.usedMib = 79;
  limiter.check();
  send();
  assert.equal(passed.length, 1);
  memory.usedMib = 81;
  limiter.check();
  assert.equal(limiter.ready.value, false);
  send();
  assert.equal(passed.length, 1);
  assert.deepEqual(outcomes, [
    { kind: "refused", retryable: true, message: "data refused due to high memory usage" },
  ]);
  const labels = '{processor="memory_limiter"}';
  assert.equal(await value(`otelcol_processor_memory_limiter_accepted_spans${labels}`), 3);
  assert.equal(await value(`otelcol_processor_memory_limiter_refused_spans${labels}`), 3);
  memory.usedMib = 10;
  limiter.check();
  assert.equal(limiter.ready.value, true);
});

test("garbage is collected before data is refused", () => {
  const { memory, limiter } = setUp();
  memory.usedMib = 90;
  memory.afterCollectMib = 20;
  limiter.check();
  assert.equal(memory.collections, 1);
  assert.equal(limiter.ready.value, true);
});

test("above the soft limit collections are at least 10 s apart, above the hard limit not", () => {
  const { memory, limiter } = setUp();
  memory.usedMib = 90;
  for (const timeMs of [0, 1_000, 9_999, 10_000]) {
    memory.timeMs = timeMs;
    limiter.check();
  }
  assert.equal(memory.collections, 2);
  memory.usedMib = 101;
  memory.timeMs = 11_000;
  limiter.check();
  assert.equal(memory.collections, 3);
});

test("limits come in MiB or as a percentage, the spike limit is a fifth unless set", () => {
  const mib = (options: object): number[] => {
    const limits = limitsOf(configSchema.parse({ check_interval: "1s", ...options }), 1000 * MIB);
    return [limits.limitBytes / MIB, limits.softBytes / MIB];
  };
  assert.deepEqual(mib({ limit_mib: 400 }), [400, 320]);
  assert.deepEqual(mib({ limit_mib: 400, spike_limit_mib: 100 }), [400, 300]);
  assert.deepEqual(mib({ limit_percentage: 50, spike_limit_percentage: 10 }), [500, 400]);
});

test("the configuration is refused in the Collector's words", () => {
  const messages = (input: object): string =>
    configSchema
      .safeParse(input)
      .error?.issues.map((issue) => issue.message)
      .join("\n") ?? "";
  assert.match(messages({}), /'check_interval' must be greater than zero/);
  assert.match(messages({}), /'limit_mib' or 'limit_percentage' must be greater than zero/);
  assert.match(
    messages({ check_interval: "1s", limit_mib: 10, spike_limit_mib: 10 }),
    /'spike_limit_mib' must be smaller than 'limit_mib'/,
  );
});

test("the process's own memory is measured and its garbage can be collected", () => {
  const memory = createProcessMemory();
  assert.ok(memory.total() > memory.used());
  let garbage: Buffer | undefined = Buffer.alloc(64 * MIB, 1);
  const held = memory.used();
  assert.equal(garbage.length, 64 * MIB);
  garbage = undefined;
  memory.collect();
  assert.ok(memory.used() < held - 32 * MIB);
});

test("start measures at once, shutdown may come twice and without start", async () => {
  const { limiter } = setUp();
  await limiter.shutdown();
  await limiter.start();
  await limiter.shutdown();
  await limiter.shutdown();
});
