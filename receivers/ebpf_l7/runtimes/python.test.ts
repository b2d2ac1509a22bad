// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  RUNTIME_PYTHON,
  WIRE_RUNTIME_BYTES,
  WIRE_RUNTIME_KIND,
} from "../../../bpf/generated/wire.ts";
import { startProcess } from "../../../test/support/process.ts";
import { encodePlan } from "./plan.ts";
import { planPython } from "./python.ts";

test("a running interpreter says where its threads keep their state", async () => {
  const args = ["-c", "import sys, time; print(sys.version_info[:2], flush=True); time.sleep(60)"];
  await using python = await startProcess({
    ...{ command: "/usr/bin/python3", args },
    readyOutput: /\(3, \d+\)/,
  });
  const minor = /\(3, (\d+)\)/.exec(python.output())?.[1];
  const plan = planPython(python.pid);
  assert.ok(plan !== undefined && "probes" in plan);
  assert.equal(plan.version, `3.${minor}`);
  assert.deepEqual(
    plan.probes.map((probe) => probe.program),
    ["python_copied"],
  );
  const bytes = encodePlan(plan);
  assert.equal(bytes.length, WIRE_RUNTIME_BYTES);
  assert.equal(new DataView(bytes.buffer).getUint32(WIRE_RUNTIME_KIND, true), RUNTIME_PYTHON);
});

test("another process has no plan", () => {
  assert.equal(planPython(process.pid), undefined);
});
