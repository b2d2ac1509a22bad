// SPDX-License-Identifier: Apache-2.0
// A real ZooKeeper, and kazoo.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ZOOKEEPER } from "../../src/protocols/zookeeper/protocol.ts";
import { startTestAgent } from "../support/agent.ts";
import { callLines, updateCallGoldens } from "../support/call-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const run = promisify(execFile);
const SESSION = join(import.meta.dirname, "../apps/zookeeper-session.py");
const JARS = ["zookeeper.jar", "zookeeper-jute.jar", "*"].map((name) => `/usr/share/java/${name}`);

/** Operations with what they are applied to, and their errors. */
const DONE = [
  "connect",
  "create create /shop",
  "create create /shop/?",
  "create create /shop error=NODEEXISTS",
  "getData getData /shop/?",
  "setData setData /shop/?",
  "setData setData /shop error=BADVERSION",
  "getData getData /none error=NONODE",
  "exists exists /nowhere/?/? error=NONODE",
  "getChildren getChildren /shop",
  "multi",
  "delete delete /shop/?",
  "closeSession",
];

function shortLine(line: string): string {
  const [name = ""] = line.split(" ", 1);
  const text = / db\.query\.text=(.*?) db\.(?:response|system)/.exec(line)?.[1];
  const error = / error\.type=(\S+)/.exec(line)?.[1];
  return [name, text, error && `error=${error}`].filter((part) => part !== undefined).join(" ");
}

test("a session with ZooKeeper is seen at either end, and through the agent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-zookeeper-"));
  const [port = 0] = await freePorts(1);
  const config = join(folder, "zoo.cfg");
  const lines = [`dataDir=${folder}`, `clientPort=${port}`, "clientPortAddress=127.0.0.1"];
  writeFileSync(config, `tickTime=2000\n${lines.join("\n")}\n`);
  await using server = await startProcess({
    command: "java",
    args: [
      ...["-Xmx128m", "-Dzookeeper.admin.enableServer=false", "-cp", JARS.join(":")],
      ...["org.apache.zookeeper.server.quorum.QuorumPeerMain", config],
    ],
    readyPort: port,
    readyTimeoutMs: 60_000,
  });
  await using proxy = await startRecordingProxy(port);
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: coordination}]`,
    capture: `{protocols: {ports: {${port}: zookeeper}}}`,
  });
  await run("/usr/bin/python3", [SESSION, String(proxy.port)]);
  updateCallGoldens(ZOOKEEPER, proxy, "kazoo");
  assert.deepEqual(callLines(ZOOKEEPER, proxy, "client").flat().map(shortLine), DONE);
  assert.deepEqual(callLines(ZOOKEEPER, proxy, "server").flat().map(shortLine), DONE);
  const spans = await agent.spansWhen(DONE.length);
  const names = DONE.map((line) => `server ${line.split(" ", 1)[0]}`);
  assert.deepEqual(spans.map(({ kind, name }) => `${kind} ${name}`).sort(), names.sort());
  rmSync(folder, { recursive: true, force: true });
});
