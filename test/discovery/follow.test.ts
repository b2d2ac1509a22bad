// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { blockEventLoop, createFolder, isSoon, startDiscovery } from "./support.ts";

/** A shell that runs `rest` once the file is there. */
function waitingShell(file: string, rest: string): Promise<RunningProcess> {
  const script = `while [ ! -e ${file} ]; do sleep 0.02; done; ${rest}`;
  return startProcess({ command: "sh", args: ["-c", script] });
}

function python(source: string): Promise<RunningProcess> {
  return startProcess({ command: "python3", args: ["-c", source], readyOutput: /ready/ });
}

test("a child is marked by the kernel alone, before the agent hears of it", async () => {
  using folder = createFolder();
  const go = join(folder.path, "go");
  await using shell = await waitingShell(go, "sleep 60 & wait");
  await using started = await startDiscovery({ targets: [{ pids: [shell.pid], name: "shop" }] });
  writeFileSync(go, "");
  blockEventLoop(500);
  const marked = started.allMarks();
  assert.deepEqual(new Set(marked.map((mark) => mark.target)), new Set([1]));
  const child = marked.find((mark) => mark.tgid !== shell.pid)?.tgid ?? 0;
  assert.notEqual(child, 0);
  assert.equal(started.discovery.process(child)?.serviceName, "shop");
});

test("children and grandchildren from before the agent's start are selected", async () => {
  const script = "sh -c 'sleep 60 & sleep 61 & wait; true' & wait; true";
  await using shell = await startProcess({ command: "sh", args: ["-c", script] });
  await using started = await startDiscovery({ targets: [{ pids: [shell.pid] }] });
  assert.ok(await isSoon(() => started.allMarks().length === 4), "shell, shell, two sleepers");
  const names = [...started.discovery.selected()].map((one) => one.serviceName);
  assert.equal(names.filter((name) => name === "sleep").length, 2);
});

test("every thread is marked, those from before and those to come", async () => {
  using folder = createFolder();
  const go = join(folder.path, "go");
  const source = `
import os, threading, time
def start(): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
for _ in range(5): start()
print("ready", flush=True)
while not os.path.exists("${go}"): time.sleep(0.02)
for _ in range(5): start()
time.sleep(60)`;
  await using threads = await python(source);
  await using started = await startDiscovery({ targets: [{ pids: [threads.pid] }] });
  assert.equal(started.marks(threads.pid).length, 6);
  writeFileSync(go, "");
  assert.ok(await isSoon(() => started.marks(threads.pid).length === 11));
  assert.equal([...started.discovery.selected()].length, 1);
});

test("a process that becomes another program stays selected under its new name", async () => {
  using folder = createFolder();
  const go = join(folder.path, "go");
  const script = join(folder.path, "orders.sh");
  writeFileSync(script, "sleep 60; true");
  await using shell = await waitingShell(go, `exec sh ${script}`);
  await using started = await startDiscovery({ targets: [{ pids: [shell.pid] }] });
  writeFileSync(go, "");
  assert.ok(await isSoon(() => started.serviceName(shell.pid) === "orders"));
  assert.equal(started.marks(shell.pid).length, 1);
});

test("with an exclusion, a new program is held back until it was looked at", async () => {
  using folder = createFolder();
  const go = join(folder.path, "go");
  await using shell = await waitingShell(go, "exec sleep 60");
  await using started = await startDiscovery({
    targets: [{ pids: [shell.pid] }],
    exclude: [{ exe: join(folder.path, "nothing") }],
  });
  assert.ok(await isSoon(() => started.marks(shell.pid)[0]?.pending === 0));
  writeFileSync(go, "");
  blockEventLoop(500);
  assert.equal(started.marks(shell.pid)[0]?.pending, 1);
  assert.ok(await isSoon(() => started.marks(shell.pid)[0]?.pending === 0));
});

test("a process that ends is deselected, and answered for a while longer", async () => {
  await using started = await startDiscovery({ targets: [{ command: "sleep 59\\.123" }] });
  const sleeper = await startProcess({ command: "sleep", args: ["59.123"] });
  assert.ok(await isSoon(() => started.serviceName(sleeper.pid) === "sleep"));
  await sleeper.stop();
  assert.ok(await isSoon(() => [...started.discovery.selected()].length === 0));
  assert.deepEqual(
    started.changes.filter((change) => change.kind === "deselected").map((one) => one.process.pid),
    [sleeper.pid],
  );
  assert.equal(started.serviceName(sleeper.pid), "sleep");
  assert.deepEqual(started.allMarks(), []);
});

test("the environment's service name comes before the target's", async () => {
  const tag = `60.${Date.now()}`;
  await using started = await startDiscovery({ targets: [{ command: tag, name: "target" }] });
  const env = { OTEL_SERVICE_NAME: "mine", OTEL_RESOURCE_ATTRIBUTES: "team=blue%20sky" };
  await using one = await startProcess({ command: "sleep", args: [tag], env });
  await using other = await startProcess({ command: "sleep", args: [tag] });
  assert.ok(await isSoon(() => started.serviceName(one.pid) === "mine"));
  assert.ok(await isSoon(() => started.serviceName(other.pid) === "target"));
  assert.equal(started.discovery.process(one.pid)?.attributes.get("team"), "blue sky");
});

test("1,000 short-lived processes leave nothing behind", async () => {
  using folder = createFolder();
  const [go, done] = [join(folder.path, "go"), join(folder.path, "done")];
  const loop = `for i in $(seq 1000); do /bin/true; done; : > ${done}; sleep 60; true`;
  await using shell = await waitingShell(go, loop);
  await using started = await startDiscovery({ targets: [{ pids: [shell.pid] }] });
  writeFileSync(go, "");
  while (!existsSync(done)) await new Promise((resolve) => setTimeout(resolve, 50));
  const names = (): string[] => [...started.discovery.selected()].map((one) => one.serviceName);
  assert.ok(await isSoon(() => names()[1] === "sleep"));
  assert.equal(names().length, 2, "the shell and its last child");
  assert.equal(started.allMarks().length, 2);
  const ended = started.changes.filter((change) => change.kind === "deselected");
  const trues = new Set(
    ended.filter((one) => one.process.serviceName === "true").map((one) => one.process.pid),
  );
  assert.equal(trues.size, 1000);
  assert.equal(await started.memory.value("backstitch_discovery_events_lost"), 0);
});

test("lost events are counted, and a rescan puts things right", async () => {
  using folder = createFolder();
  const [go, done] = [join(folder.path, "go"), join(folder.path, "done")];
  const source = `
import os, time
print("ready", flush=True)
while not os.path.exists("${go}"): time.sleep(0.02)
for _ in range(6000):
    child = os.fork()
    if child == 0: os._exit(0)
    os.waitpid(child, 0)
if os.fork() == 0: time.sleep(60)
open("${done}", "w").close()
time.sleep(60)`;
  await using forks = await python(source);
  await using started = await startDiscovery({ targets: [{ pids: [forks.pid] }] });
  writeFileSync(go, "");
  for (let waited = 0; waited < 30_000 && !existsSync(done); waited += 50) blockEventLoop(50);
  assert.ok(existsSync(done));
  const isRight = (): boolean =>
    [...started.discovery.selected()].length === 2 && started.allMarks().length === 2;
  // Rescans are at least a second apart.
  assert.ok((await isSoon(isRight)) || (await isSoon(isRight)) || (await isSoon(isRight)));
  assert.ok((await started.memory.value("backstitch_discovery_events_lost")) > 0);
  assert.ok((await started.memory.value("backstitch_discovery_rescans")) >= 2);
});

test("an agent that comes after another starts from nothing", async () => {
  const tag = randomUUID();
  const source = `import time; print("ready", flush=True); time.sleep(60) # ${tag}`;
  await using sleeper = await python(source);
  for (let round = 0; round < 3; round++) {
    await using started = await startDiscovery({ targets: [{ command: tag }] });
    assert.equal(started.marks(sleeper.pid).length, 1);
  }
  await using started = await startDiscovery({ targets: [{ command: randomUUID() }] });
  assert.deepEqual(started.allMarks(), []);
});
