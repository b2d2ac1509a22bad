// SPDX-License-Identifier: Apache-2.0
// The truth bench, small: `npm run bench:truth` is the whole.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCell } from "../../bench/truth/cell.ts";
import { RUNTIMES } from "../../bench/truth/runtimes.ts";
import { jdkSince } from "../support/jdk.ts";

const EXACT: Readonly<Record<string, string>> = {
  go: "goroutine",
  asyncio: "python_context",
  aiohttp: "python_context",
  "python-threads": "same_thread",
  "c-pool": "same_thread",
  "java-agent": "java_task",
  "java-async-agent": "java_task",
  ...(jdkSince(21) === undefined ? {} : { "java-virtual-agent": "java_task" }),
};

for (const [name, evidence] of Object.entries(EXACT)) {
  test(`${name}: 64 requests at once, 8 connections to each server: no trace is wrong, and they are whole`, async () => {
    const runtime = RUNTIMES.find((one) => one.name === name);
    assert.ok(runtime);
    const cell = { runtime, concurrency: 64, connections: 8, requests: 200, inference: false };
    const result = await runCell(cell);
    assert.deepEqual(result.wrong, []);
    assert.equal(result.traces.wrong, 0);
    assert.equal(result.traces.right, 200, JSON.stringify(result.traces));
    const links = result.evidence[evidence]?.right ?? 0;
    assert.ok(links >= 1000, JSON.stringify(result.evidence));
  });
}

test("node: 64 requests at once that wait for 8 connections: by their ids, and hardly one wrong", async () => {
  const runtime = RUNTIMES.find((one) => one.name === "node");
  assert.ok(runtime);
  const cell = { runtime, concurrency: 64, connections: 8, requests: 200, inference: false };
  const result = await runCell(cell);
  const { right, wrong, unlinked } = result.links;
  const byIds = result.evidence["async_id"];
  assert.ok(byIds !== undefined && byIds.right >= 100, JSON.stringify(result.evidence));
  assert.equal(byIds.wrong, 0, result.wrong.join("\n"));
  // Some calls at the start, and what follows them: until its pools are known to be at their limits.
  // More than 10 of 2,600 were seen once.
  assert.ok(wrong < 0.02 * (right + wrong), result.wrong.join("\n"));
  assert.ok(unlinked < 0.1 * (right + wrong + unlinked), JSON.stringify(result.links));
});

test("java-submit: 64 requests at once without our agent: unknown, and not wrong", async () => {
  const runtime = RUNTIMES.find((one) => one.name === "java-submit");
  assert.ok(runtime);
  const cell = { runtime, concurrency: 64, connections: 0, requests: 200, inference: false };
  const { links, wrong } = await runCell(cell);
  assert.ok(links.wrong < (links.right + links.wrong + links.unlinked) / 100, wrong.join("\n"));
  assert.ok(links.unlinked > 0);
});
