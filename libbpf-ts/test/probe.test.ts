// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { formatReport, isUsable, MAP_TYPE, type ProbeResult, probeAll } from "../src/index.ts";
import { kernelTest } from "./support.ts";

const run = promisify(execFile);
const BIN = fileURLToPath(new URL("../bin/libbpf-ts.js", import.meta.url));
const NOBODY = 65534;

test("every result has an errno and a sentence of advice, or neither", () => {
  const { attachKinds, programTypes, mapTypes, helpers, kfuncs, mounts } = probeAll();
  const groups: readonly Readonly<Record<string, ProbeResult>>[] = [
    attachKinds,
    programTypes,
    mapTypes,
    helpers,
    kfuncs,
    { ...mounts },
  ];
  for (const [name, result] of groups.flatMap((group) => Object.entries(group))) {
    assert.equal(result.isSupported, result.errno === undefined, name);
    assert.equal(result.isSupported, result.advice === "", `${name}: ${result.errno}`);
  }
  assert.deepEqual(Object.keys(mapTypes), Object.keys(MAP_TYPE));
});

kernelTest("the report agrees with what the tests of attaching find", () => {
  const report = probeAll();
  assert.equal(isUsable(report), true);
  for (const name of ["tp_btf", "raw_tp", "uprobe", "uprobe.multi", "iter", "tcx", "syscall"]) {
    assert.equal(report.attachKinds[name]?.isSupported, true, name);
  }
  const hasKprobes = existsSync("/sys/bus/event_source/devices/kprobe");
  assert.equal(report.attachKinds["kprobe"]?.isSupported, hasKprobes);
  assert.equal(report.helpers["bpf_ringbuf_reserve"]?.isSupported, true);
});

kernelTest("doctor prints the report, also for a user without privileges", async () => {
  const { stdout } = await run(process.execPath, [BIN, "doctor"]);
  assert.match(stdout, /^Linux \d/);
  assert.match(stdout, /Attaching: \d+ of \d+/);
  const asNobody = run(process.execPath, [BIN, "doctor"], { uid: NOBODY, gid: NOBODY, env: {} });
  const refused = await asNobody.then(
    () => assert.fail("it must end with 1"),
    (error: unknown) => unsafeOutput(error),
  );
  assert.match(refused, /no\s+ring buffer\s+EPERM\. Run as root or with CAP_BPF/);
  const json = await run(process.execPath, [BIN, "doctor", "--json"]);
  assert.equal(JSON.parse(json.stdout).btf.isSupported, true);
});

test("a report is short where all works and explicit where it does not", () => {
  const report = probeAll();
  const refused = { isSupported: false, errno: "EPERM", advice: "Run as root." };
  const text = formatReport({ ...report, attachKinds: { lsm: refused } });
  assert.match(text, /Attaching: 0 of 1\n {2}no {3}lsm +EPERM\. Run as root\./);
});

/** Relies on: `execFile` rejects with what the process wrote. */
function unsafeOutput(error: unknown): string {
  return (error as { readonly stdout: string }).stdout;
}
