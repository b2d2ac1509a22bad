// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { listeningPorts } from "./proc-net.ts";
import { startProcess } from "./process.ts";

const LISTEN = 'require("net").createServer().listen(0, "127.0.0.1"); console.log("up")';

test("a started process is ready once it listens, and its own port is known", async () => {
  await using child = await startProcess({
    command: process.execPath,
    args: ["-e", LISTEN],
    readyPort: 0,
    readyOutput: /up/,
  });
  assert.ok(child.port > 0);
  assert.deepEqual(listeningPorts(child.pid), [child.port]);
});

test("a process that ends before it is ready is an error with its output", async () => {
  await assert.rejects(
    startProcess({
      command: process.execPath,
      args: ["-e", 'console.error("no such luck"); process.exit(3)'],
      readyPort: 0,
    }),
    /ended with 3 before it was ready\n(.|\n)*no such luck/,
  );
});

test("a command that does not exist is an error", async () => {
  await assert.rejects(
    startProcess({ command: "/no/such/command", readyPort: 0 }),
    /\/no\/such\/command/,
  );
});

test("stopping a process that ignores SIGTERM ends it and what it started", async () => {
  const script = `process.on("SIGTERM", () => {});
    const child = require("child_process").spawn("sleep", ["60"]);
    console.log("child=" + child.pid + ";"); setInterval(() => {}, 1000);`;
  const parent = await startProcess({
    command: process.execPath,
    args: ["-e", script],
    readyOutput: /child=\d+;/,
  });
  const grandchild = Number(/child=(\d+)/.exec(parent.output())?.[1]);
  const end = await parent.stop({ graceMs: 100 });
  assert.equal(end.signal, "SIGKILL");
  await waitUntilGone(grandchild);
});

async function waitUntilGone(pid: number): Promise<void> {
  // A zombie that nobody has reaped yet has no executable any more.
  for (let attempt = 0; attempt < 100 && existsSync(`/proc/${pid}/exe`); attempt += 1) {
    await delay(20);
  }
  assert.equal(existsSync(`/proc/${pid}/exe`), false);
}
