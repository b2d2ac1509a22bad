// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { openSync, readSync } from "node:fs";
import { test } from "node:test";
import { RUNTIME_NODE } from "../../../bpf/generated/wire.ts";
import { startProcess } from "../../../test/support/process.ts";
import { loadedFrom, planNode } from "./node.ts";

/** The asynchronous ids that Node itself tells a program. */
const SCRIPT = `
  const hooks = require("node:async_hooks");
  setInterval(() => {}, 1000);
  setTimeout(() => {
    new hooks.AsyncResource("one");
    console.log("newest", new hooks.AsyncResource("last").asyncId(), "known");
  }, 50);`;

test("the ids that a running Node counts are found in its memory", async () => {
  await using node = await startProcess({
    ...{ command: process.execPath, args: ["-e", SCRIPT] },
    readyOutput: /newest \d+ known/,
  });
  const newest = Number(/newest (\d+)/.exec(node.output())?.[1]);
  const plan = planNode(node.pid);
  assert.ok(plan !== undefined && "table" in plan && plan.table !== undefined);
  assert.equal(plan.kind, RUNTIME_NODE);
  assert.equal(plan.probes.length, 0);
  const ids = Buffer.alloc(24);
  readSync(openSync(`/proc/${node.pid}/mem`, "r"), ids, 0, 24, Number(plan.table));
  const read = ids.readDoubleLE(16);
  // Writing the line took some, too.
  assert.ok(read >= newest && read < newest + 20, `${read} against ${newest}`);
});

test("another process has no plan", async () => {
  await using other = await startProcess({ command: "sleep", args: ["60"] });
  assert.equal(planNode(other.pid), undefined);
});

test("the variable is where the first load from the instruction's own place points", () => {
  // As objdump shows uv_default_loop of Node 24: push, mov, push, sub, mov rbx, [rip+0x5189a08].
  const code = Buffer.from("554889e5534883ec08488b1d089a18054885db740b4889d8", "hex");
  assert.equal(loadedFrom(code, 0x1a0b070), 0x6b94a88);
  assert.equal(loadedFrom(Buffer.alloc(40), 0), undefined);
});
