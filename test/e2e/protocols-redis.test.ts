// SPDX-License-Identifier: Apache-2.0
// A real redis-server and Python's redis client, both observed, neither instrumented.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

const SESSION = join(import.meta.dirname, "../apps/redis-session.py");

/** What the session does, in order, connection by connection; HELLO and CLIENT are the driver's. */
const EXPECTED = [
  "SELECT ?",
  ...["SET ? ?", "GET ?", "SET ? ?", "GET ?", "INCRBY ? ? !ERR", "LPUSH ? ? !WRONGTYPE"],
  ...["HSET ? ? ? ? ?", "HGETALL ?"],
  ...new Array<string>(10).fill("INCRBY ? ?"),
  ...["MULTI", "SET ? ?", "INCRBY ? ?", "EXEC"],
  ...["SELECT ?", "SUBSCRIBE ? ?", "PUBLISH ? ?", "PUBLISH ? ?", "PUBLISH ? ?"],
  ...["PING", "ECHO ?", "HELLO ?", "SUBSCRIBE ?", "PUBLISH ? ?", "GET ?"],
  "BLPOP ? ? !connection_closed",
].sort();

function lineOf(span: FlatSpan): string {
  const error = span.attributes.get("error.type");
  const text = String(span.attributes.get("db.query.text"));
  return error === undefined ? text : `${text} !${String(error)}`;
}

test("a session of a Redis client gives exactly one span a command, on either side", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-redis-"));
  const [port = 0] = await freePorts(1);
  await using server = await startProcess({
    command: "redis-server",
    args: ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
    readyPort: port,
  });
  await using client = await startProcess({
    command: "/usr/bin/python3",
    args: [SESSION, String(port)],
    readyOutput: /waiting/,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: cache}, {pids: [${client.pid}], name: app}]`,
  });
  process.kill(client.pid, "SIGUSR1");
  await eventually(
    async () => client.output(),
    (output) => /done|Error/.test(output),
  );
  assert.match(client.output(), /done/);
  const spans = await agent.spansWhen(2 * EXPECTED.length);
  const clients = spans.filter(({ kind }) => kind === "client");
  const servers = spans.filter(({ kind }) => kind === "server");
  assert.deepEqual(clients.map(lineOf).sort(), EXPECTED);
  assert.deepEqual(servers.map(lineOf).sort(), EXPECTED);
  for (const span of clients) {
    assert.equal(span.service, "app");
    assert.equal(span.attributes.get("db.system.name"), "redis");
    assert.equal(span.name, span.attributes.get("db.operation.name"));
    assert.equal(span.attributes.get("server.port"), BigInt(port));
  }
  // Each command's two spans carry one name, pipelined or not.
  const ids = new Set(clients.map(({ spanId }) => spanId));
  assert.equal(ids.size, EXPECTED.length);
  for (const span of servers) assert.ok(ids.has(span.parentSpanId), lineOf(span));
  const metrics = await agent.metrics();
  assert.equal(total(metrics, "backstitch_ebpf_l7_exchanges_abandoned"), 0);
  rmSync(folder, { recursive: true, force: true });
});
