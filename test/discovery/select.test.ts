// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { copyFileSync, mkdirSync, realpathSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { cgroupMount, createFolder, isSoon, startDiscovery, staysTrue } from "./support.ts";

/** A program at a path of its own. */
function copyOfSleep(folder: string, name: string): string {
  const path = join(folder, name);
  copyFileSync("/bin/sleep", path);
  return path;
}

function listener(tag: string, port = 0): Promise<RunningProcess> {
  const source = `
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", ${port})); s.listen(); time.sleep(60)  # ${tag}`;
  return startProcess({ command: "python3", args: ["-c", source], readyPort: port });
}

test("with no targets nothing is selected, and a warning says so", async () => {
  await using started = await startDiscovery({});
  assert.equal([...started.discovery.selected()].length, 0);
  assert.deepEqual(started.allMarks(), []);
  assert.equal(started.memory.lines.filter((line) => line.level === "warn").length, 1);
});

test("a process that runs already is selected by its id", async () => {
  await using sleeper = await startProcess({ command: "sleep", args: ["60"] });
  await using started = await startDiscovery({
    targets: [{ pids: [sleeper.pid], name: "sleepy" }],
  });
  assert.equal(started.serviceName(sleeper.pid), "sleepy");
  assert.deepEqual(started.marks(sleeper.pid), [
    { tgid: sleeper.pid, tid: sleeper.pid, target: 1, pending: 0 },
  ]);
  assert.equal(started.allMarks().length, 1);
});

test("a new process is selected by its executable within a second", async () => {
  using folder = createFolder();
  const exe = copyOfSleep(folder.path, "shop-server");
  await using started = await startDiscovery({ targets: [{ exe: `${folder.path}/shop-*` }] });
  await using other = await startProcess({ command: "sleep", args: ["60"] });
  await using shop = await startProcess({ command: exe, args: ["60"] });
  assert.ok(await isSoon(() => started.marks(shop.pid).length === 1));
  assert.equal(started.serviceName(shop.pid), "shop-server");
  assert.equal(started.discovery.process(shop.pid)?.attributes.get("process.pid"), shop.pid);
  assert.deepEqual(started.marks(other.pid), []);
  assert.equal(started.discovery.process(other.pid), undefined);
});

test("a new process is selected by its command line", async () => {
  const tag = randomUUID();
  await using started = await startDiscovery({ targets: [{ command: `sleep\\(60\\) # ${tag}` }] });
  const source = `import time; time.sleep(60) # ${tag}`;
  await using python = await startProcess({ command: "python3", args: ["-c", source] });
  assert.ok(await isSoon(() => started.marks(python.pid).length === 1));
  // setpriv, which starts it, has the same words in its command line.
  assert.ok(await isSoon(() => started.serviceName(python.pid)?.startsWith("python3") === true));
});

test("a process is selected by a port that it listens on, at start and later", async () => {
  await using before = await listener("before");
  const later = await listener("to find a free port");
  const { port } = later;
  await later.stop();
  await using started = await startDiscovery({
    targets: [{ ports: [before.port, `${port}-${port}`] }],
  });
  assert.equal(started.marks(before.pid).length, 1);
  await using after = await listener("after", port);
  assert.ok(await isSoon(() => started.marks(after.pid).length === 1));
  assert.equal([...started.discovery.selected()].length, 2);
});

test("a process that moves into a cgroup is selected by it", async () => {
  const name = `discovery-${randomUUID()}`;
  const path = join(cgroupMount(), name);
  mkdirSync(path);
  try {
    await using started = await startDiscovery({ targets: [{ cgroup: name }] });
    await using sleeper = await startProcess({ command: "sleep", args: ["60"] });
    assert.deepEqual(started.marks(sleeper.pid), []);
    writeFileSync(join(path, "cgroup.procs"), String(sleeper.pid));
    assert.ok(await isSoon(() => started.marks(sleeper.pid).length === 1));
  } finally {
    await removeCgroup(path);
  }
});

test("a process is selected by the id of its container", async () => {
  const id = "3f2a".repeat(16);
  const path = join(cgroupMount(), `docker-${id}.scope`);
  mkdirSync(path);
  try {
    await using started = await startDiscovery({ targets: [{ container: id.slice(0, 12) }] });
    const script = `echo $$ > ${path}/cgroup.procs; exec sleep 60`;
    await using inside = await startProcess({ command: "sh", args: ["-c", script] });
    assert.ok(await isSoon(() => started.marks(inside.pid).length === 1));
    assert.equal(started.discovery.process(inside.pid)?.attributes.get("container.id"), id);
  } finally {
    await removeCgroup(path);
  }
});

test("all criteria of a target must hold", async () => {
  using folder = createFolder();
  const exe = copyOfSleep(folder.path, "both");
  await using started = await startDiscovery({ targets: [{ exe, command: "both 59$" }] });
  await using one = await startProcess({ command: exe, args: ["60"] });
  await using both = await startProcess({ command: exe, args: ["59"] });
  assert.ok(await isSoon(() => started.marks(both.pid).length === 1));
  assert.deepEqual(started.marks(one.pid), []);
});

test("what an exclusion matches is not selected, neither as a descendant", async () => {
  using folder = createFolder();
  const wanted = copyOfSleep(folder.path, "wanted");
  const unwanted = copyOfSleep(folder.path, "unwanted");
  await using started = await startDiscovery({
    targets: [{ command: `^(setpriv .*)?sh -c .*${folder.path}` }],
    exclude: [{ exe: unwanted }],
  });
  const script = `${wanted} 60 & ${unwanted} 61 & wait`;
  await using shell = await startProcess({ command: "sh", args: ["-c", script] });
  const marked = (): number => started.allMarks().filter((mark) => mark.pending === 0).length;
  assert.ok(await isSoon(() => marked() === 2 && started.allMarks().length === 2));
  const names = (): string[] => [...started.discovery.selected()].map((one) => one.serviceName);
  const both = [basename(realpathSync("/bin/sh")), "wanted"].sort().join();
  assert.ok(await isSoon(() => names().sort().join() === both), names().join());
  assert.ok(await staysTrue(() => started.allMarks().length === 2));
  assert.equal(started.marks(shell.pid)[0]?.target, 1);
});

test("an agent whose parent is selected is not selected with it", async () => {
  const tag = randomUUID();
  const main = join(import.meta.dirname, "agent-main.ts");
  const script = `${process.execPath} ${main} ${tag}; sleep 60`;
  const options = { command: "sh", args: ["-c", script], readyOutput: /\n/ } as const;
  await using shell = await startProcess(options);
  const seen = new Map(JSON.parse(shell.output().trim()));
  assert.equal(seen.get("parent"), shell.pid);
  assert.deepEqual(seen.get("marked"), [shell.pid]);
  assert.deepEqual(seen.get("selected"), [shell.pid]);
});

test("the agent never selects itself, and passes nothing on", async () => {
  await using started = await startDiscovery({
    targets: [{ pids: [process.pid] }],
    poll_interval: "200ms",
  });
  await using child = await startProcess({ command: "sleep", args: ["60"] });
  assert.ok(await staysTrue(() => started.marks(process.pid).length === 0));
  assert.deepEqual(started.marks(child.pid), []);
  assert.equal(started.discovery.process(process.pid), undefined);
});

/** Empty only once its processes have ended and were waited for. */
async function removeCgroup(path: string): Promise<void> {
  const isGone = (): boolean => {
    try {
      rmdirSync(path);
      return true;
    } catch {
      return false;
    }
  };
  assert.ok(await isSoon(isGone), `cgroup ${path} is still in use`);
}
