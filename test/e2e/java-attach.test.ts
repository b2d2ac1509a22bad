// SPDX-License-Identifier: Apache-2.0
// Our agent into JVMs and out of them again: other users, namespaces, JVMs that refuse or end.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
  type JavaAgent,
  loadJavaAgent,
  parseState,
} from "../../receivers/ebpf_l7/runtimes/java.ts";
import {
  AttachLater,
  attachCommand,
  inspectJava,
} from "../../receivers/ebpf_l7/runtimes/java-attach.ts";
import { eventually } from "../support/eventually.ts";
import { buildJava } from "../support/java-app.ts";
import { jdks } from "../support/jdk.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const NOBODY = 65_534;
const LONG_MS = 60_000;

async function startJvm(
  prefix: readonly string[] = [],
  options: readonly string[] = [],
): Promise<RunningProcess> {
  const [java = "", ...words] = await buildJava("truth/Pools");
  const [command = "", ...args] = [...prefix, java, ...options, ...words];
  return await startProcess({ command, args, readyPort: 0 });
}

async function stateOf(pid: number): Promise<string> {
  const properties = await attachCommand(inspectJava(pid), "agentProperties");
  return /^backstitch\.state=(.*)$/m.exec(properties)?.[1] ?? "";
}

function filesIn(pid: number, folder: string): readonly string[] {
  const path = `/proc/${pid}/root${folder}`;
  return existsSync(path) ? readdirSync(path) : [];
}

/** A JVM that has just started refuses at first. */
async function load(pid: number): Promise<JavaAgent> {
  const untilMs = performance.now() + LONG_MS;
  for (;;) {
    try {
      return await loadJavaAgent(pid);
    } catch (error) {
      if (!(error instanceof AttachLater) || performance.now() > untilMs) throw error;
      await setTimeout(200);
    }
  }
}

async function isAnswering({ port }: RunningProcess): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/order/1`);
  return answer.status === 200 && (await answer.text()) === "1\n";
}

for (const jdk of jdks().filter(({ version }) => version >= 11)) {
  test(`Java ${jdk.version}: the agent is loaded, unloaded and loaded again, and leaves no file`, async () => {
    const [java = "", ...args] = await buildJava("truth/Pools", jdk);
    await using jvm = await startProcess({ command: java, args, readyPort: 0 });
    for (const round of [1, 2]) {
      const agent = await load(jvm.pid);
      assert.ok(agent.methods > 0, `round ${round}`);
      assert.notEqual(agent.table, 0n);
      assert.deepEqual(filesIn(jvm.pid, agent.folder), ["lease"]);
      assert.ok(await isAnswering(jvm));
      agent.release();
      await eventually(
        async () => await stateOf(jvm.pid),
        (state) => state === "off",
        LONG_MS,
      );
      assert.ok(!existsSync(`/proc/${jvm.pid}/root${agent.folder}`));
      assert.ok(await isAnswering(jvm));
    }
  });
}

test("a JVM of another user, in mount and pid namespaces of its own, gets the agent", async () => {
  const inside = "mount -t tmpfs tmpfs /tmp && chmod 1777 /tmp && mount -t proc proc /proc && exec";
  const folder = mkdtempSync(join(tmpdir(), "backstitch-jvm-"));
  try {
    const [java = "", ...words] = await buildJava("truth/Pools");
    const at = words.indexOf("-cp") + 1;
    // The user may not read our cache, and /tmp is another one inside.
    const classes = `/var/tmp/${folder.split("/").at(-1)}`;
    cpSync(words[at] ?? "", classes, { recursive: true });
    words[at] = classes;
    const user = `setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups`;
    const shell = `${inside} ${user} ${java} ${words.join(" ")}`;
    const args = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", shell];
    await using outer = await startProcess({ command: "unshare", args });
    const pid = await eventually(
      async () => childOf(outer.pid),
      (child) => child !== 0 && readFileSync(`/proc/${child}/comm`, "utf8") === "java\n",
      LONG_MS,
    );
    const agent = await load(pid);
    assert.equal(inspectJava(pid).ownPid, 1);
    assert.equal(inspectJava(pid).uid, NOBODY);
    agent.release();
    await eventually(
      async () => await stateOf(pid),
      (state) => state === "off",
      LONG_MS,
    );
    assert.ok(!existsSync(`/proc/${pid}/root${agent.folder}`));
    rmSync(classes, { recursive: true, force: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function childOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return Number(children.trim().split(" ")[0] ?? 0);
}

test("a JVM that must not be attached to is not touched, and it is said why", async () => {
  await using jvm = await startJvm([], ["-XX:+DisableAttachMechanism"]);
  await assert.rejects(loadJavaAgent(jvm.pid), /started with -XX:\+DisableAttachMechanism/);
  // The signal would have made it print its threads.
  assert.doesNotMatch(jvm.output(), /Full thread dump/);
  assert.ok(await isAnswering(jvm));
});

test("a process that does not handle the signal is not sent it", async () => {
  await using jvm = await startJvm([], ["-Xrs"]);
  await assert.rejects(loadJavaAgent(jvm.pid), /does not handle SIGQUIT.*-Xrs/);
  assert.ok(await isAnswering(jvm));
});

test("without permission it is said what is missing", async () => {
  await using jvm = await startJvm();
  process.seteuid?.(NOBODY);
  try {
    assert.throws(
      () => inspectJava(jvm.pid),
      /no permission.*run as root or as the user of the JVM/,
    );
  } finally {
    process.seteuid?.(0);
  }
});

test("a JVM that ends while it is attached to is an error and leaves nothing", async () => {
  await using jvm = await startJvm();
  process.kill(jvm.pid, "SIGSTOP");
  const attached = loadJavaAgent(jvm.pid);
  const refused = assert.rejects(attached, /ended|closed the connection/);
  const before = readdirSync("/tmp").filter((name) => name.startsWith(`.attach_pid${jvm.pid}`));
  assert.equal(before.length, 1);
  process.kill(jvm.pid, "SIGKILL");
  await refused;
  assert.ok(!existsSync(`/tmp/.attach_pid${jvm.pid}`));
});

test("what the agent says of itself is read as it is written", () => {
  const text = "#Sun Nov 22\nbackstitch.state=on table\\=7f00a0 methods\\=28\n";
  assert.deepEqual(parseState(text), { table: 0x7f00a0n, methods: 28 });
  assert.throws(() => parseState("backstitch.state=failed java.lang.X\n"), /failed java\.lang\.X/);
  assert.throws(() => parseState(""), /says nothing/);
});
