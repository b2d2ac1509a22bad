// SPDX-License-Identifier: Apache-2.0
// Apache Thrift's library for Python on both sides, in each encoding and transport.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { THRIFT } from "../../src/protocols/thrift/protocol.ts";
import { startTestAgent } from "../support/agent.ts";
import { callLines, updateCallGoldens } from "../support/call-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const run = promisify(execFile);
const SESSION = join(import.meta.dirname, "../apps/thrift-session.py");
const PYTHON = "/usr/bin/python3";

const CALLS = [
  "search rpc.method=search rpc.system.name=apache_thrift",
  "Shop/buy error.type=exception_1 rpc.method=Shop/buy rpc.system.name=apache_thrift",
  "note rpc.method=note rpc.system.name=apache_thrift",
  "clear rpc.method=clear rpc.system.name=apache_thrift",
  "unknown error.type=UNKNOWN_METHOD rpc.method=unknown rpc.system.name=apache_thrift",
];

async function startServer(port: number, words: readonly string[]): Promise<RunningProcess> {
  const args = [SESSION, "server", String(port), ...words];
  return await startProcess({ command: PYTHON, args, readyPort: port });
}

for (const words of [
  ["strict", "framed"],
  ["strict", "buffered"],
  ["compact", "framed"],
  ["compact", "buffered"],
  ["old", "buffered"],
  ["old", "framed"],
]) {
  test(`calls of Apache Thrift, ${words.join(", ")}, are seen at either end`, async () => {
    const [port = 0] = await freePorts(1);
    await using _server = await startServer(port, words);
    await using proxy = await startRecordingProxy(port);
    await run(PYTHON, [SESSION, "client", String(proxy.port), ...words]);
    updateCallGoldens(THRIFT, proxy, `Python ${words.join(" ")}`);
    // The check whether the server is there may have been a connection of its own.
    assert.deepEqual(callLines(THRIFT, proxy, "client").flat(), CALLS);
    assert.deepEqual(callLines(THRIFT, proxy, "server").flat(), CALLS);
  });
}

test("a watched Thrift server is recognised by its bytes", async () => {
  const [port = 0] = await freePorts(1);
  await using server = await startServer(port, ["strict", "framed"]);
  await using agent = await startTestAgent({ targets: `[{pids: [${server.pid}], name: shop}]` });
  await run(PYTHON, [SESSION, "client", String(port), "strict", "framed"]);
  const spans = await agent.spansWhen(CALLS.length);
  const names = CALLS.map((line) => line.slice(0, line.indexOf(" ")));
  assert.deepEqual(
    spans.map(({ kind, name }) => `${kind} ${name}`).sort(),
    names.map((name) => `server ${name}`).sort(),
  );
});
