// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { Pprof } from "./pprof.ts";

const run = promisify(execFile);
const kept: object[] = [];

/** What the profiles are to show: named, so that they can be found. */
function burnCpuForTheProfile(untilMs: number): number {
  let sum = 0;
  while (performance.now() < untilMs) for (let at = 0; at < 1e5; at++) sum += Math.sqrt(at);
  return sum;
}

/** A function of its own stack: V8 shows what is inlined under the name of its caller. */
function burnCpuInTurns(): void {
  burnCpuForTheProfile(performance.now() + 100);
}

function keepMemoryForTheProfile(): void {
  for (let at = 0; at < 200_000; at++) kept.push({ at, text: [at, at + 1, at + 2, at + 3] });
}

async function started(context: TestContext, input: object = {}): Promise<Pprof> {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "pprof", telemetry, buildInfo: { version: "0" } };
  const one = new Pprof(settings, configSchema.parse({ endpoint: "127.0.0.1:0", ...input }));
  await one.start();
  context.after(() => one.shutdown());
  return one;
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-pprof-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What Go's own tool makes of a profile. */
async function top(path: string): Promise<string> {
  return (await run("go", ["tool", "pprof", "-top", "-nodecount=500", path])).stdout;
}

test("go tool pprof finds who used the CPU", async (context) => {
  const one = await started(context);
  const base = `http://127.0.0.1:${one.port}/debug/pprof`;
  const asked = fetch(`${base}/profile?seconds=1`);
  const burning = setInterval(burnCpuInTurns, 10);
  const response = await asked;
  clearInterval(burning);
  assert.equal(response.status, 200);
  const path = join(folderOf(context), "cpu");
  writeFileSync(path, Buffer.from(await response.arrayBuffer()));
  const text = await top(path);
  assert.match(text, /Type: cpu/);
  assert.match(text, /burnCpu(InTurns|ForTheProfile)/);
});

test("go tool pprof finds who made the objects that live", async (context) => {
  const one = await started(context);
  keepMemoryForTheProfile();
  const response = await fetch(`http://127.0.0.1:${one.port}/debug/pprof/heap`);
  const path = join(folderOf(context), "heap");
  writeFileSync(path, Buffer.from(await response.arrayBuffer()));
  const text = await top(path);
  assert.match(text, /Type: inuse_space/);
  assert.match(text, /keepMemoryForTheProfile/);
  assert.equal(kept.length, 200_000);
});

test("one CPU profile at a time; V8's own form; the rest is said", async (context) => {
  const one = await started(context);
  const base = `http://127.0.0.1:${one.port}/debug/pprof`;
  const cut = new AbortController();
  const first = fetch(`${base}/profile?seconds=600`, { signal: cut.signal });
  let second = 200;
  while (second !== 409) second = (await fetch(`${base}/profile?seconds=0.001`)).status;
  cut.abort();
  await assert.rejects(first);
  let third = await fetch(`${base}/profile?seconds=0.01&format=v8`);
  while (third.status === 409) third = await fetch(`${base}/profile?seconds=0.01&format=v8`);
  const profile: unknown = await third.json();
  assert.ok(typeof profile === "object" && profile !== null && "timeDeltas" in profile);
  assert.equal((await fetch(`${base}/profile?seconds=-1`)).status, 400);
  assert.match(await (await fetch(`${base}/`)).text(), /go tool pprof/);
  assert.equal((await fetch(`${base}/nothing`)).status, 404);
});

test("a profile of the whole run is written at the end", async (context) => {
  const path = join(folderOf(context), "run");
  const one = await started(context, { save_to_file: path });
  burnCpuForTheProfile(performance.now() + 200);
  await one.shutdown();
  assert.match(await top(path), /burnCpu(InTurns|ForTheProfile)/);
});
