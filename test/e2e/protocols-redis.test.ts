// SPDX-License-Identifier: Apache-2.0
// A real redis-server and Python's redis client, both observed, neither instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import { observeSession, startRedis, startSession } from "../support/databases.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { total } from "../support/own-metrics.ts";

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
  await using server = await startRedis();
  await using client = await startSession("redis-session.py", server.port);
  await using session = await observeSession(server, client, EXPECTED.length);
  const { agent, clients, servers } = session;
  assert.deepEqual(clients.map(lineOf).sort(), EXPECTED);
  assert.deepEqual(servers.map(lineOf).sort(), EXPECTED);
  for (const span of clients) {
    assert.equal(span.service, "app");
    assert.equal(span.attributes.get("db.system.name"), "redis");
    assert.equal(span.name, span.attributes.get("db.operation.name"));
    assert.equal(span.attributes.get("server.port"), BigInt(server.port));
  }
  // Each command's two spans carry one name, pipelined or not.
  const ids = new Set(clients.map(({ spanId }) => spanId));
  assert.equal(ids.size, EXPECTED.length);
  for (const span of servers) assert.ok(ids.has(span.parentSpanId), lineOf(span));
  const metrics = await agent.metrics();
  assert.equal(total(metrics, "backstitch_ebpf_l7_exchanges_abandoned"), 0);
});
