// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch } from "../../src/model/batch.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { factory } from "./factory.ts";

test("a batch comes out as the object that went in, and the end is passed on", () => {
  const { telemetry } = createMemoryTelemetry();
  const connector = factory.create(
    { id: "forward", telemetry, buildInfo: { version: "0" }, from: "logs", to: "logs" },
    {},
  );
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  let isComplete = false;
  connector.connect(input).subscribe({
    next: (batch) => out.push(batch),
    complete: () => {
      isComplete = true;
    },
  });
  const batch: Batch = { signal: "logs", chunks: [new Uint8Array(2)], items: 1, bytes: 2 };
  input.next(batch);
  input.complete();
  assert.equal(out[0], batch);
  assert.equal(isComplete, true);
});

test("signals are not changed", () => {
  for (const { from, to } of factory.pairs) assert.equal(from, to);
});
