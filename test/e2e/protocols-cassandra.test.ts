// SPDX-License-Identifier: Apache-2.0
// A real Cassandra with its Python driver, both ends observed, none instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lineOf, observeSession, startCassandra, startSession } from "../support/databases.ts";
import type { FlatSpan } from "../support/otlp-json.ts";

/** What the session does from its first own table on. */
const EXPECTED = [
  "INSERT users | INSERT INTO users (id, name) VALUES (?, ?)",
  "SELECT users | SELECT * FROM users WHERE id = ?",
  ...new Array<string>(4).fill(
    "INSERT users | INSERT INTO users (id, name, tags) VALUES (?, ?, ?)",
  ),
  "BATCH | INSERT INTO users (id, name, tags) VALUES (?, ?, ?); DELETE FROM users WHERE id = ?",
  "SELECT users | SELECT id, name, tags FROM users",
  "SELECT missing | SELECT * FROM missing !8704",
  "shop | SELEKT ? !8192",
  ...new Array<string>(6).fill("SELECT users | SELECT name FROM users WHERE id = ?"),
].sort();

/** Fits in one segment of version 5, and is more than is captured. */
const SIZE = 100_000;

/** The driver asks about the cluster when it likes; the session makes the schema first. */
function isOfSession(span: FlatSpan): boolean {
  const text = String(span.attributes.get("db.query.text"));
  return !/FROM system|KEYSPACE|^USE |^CREATE /.test(text);
}

test("a session of a Cassandra client gives exactly one span a statement, on either side", async () => {
  await using server = await startCassandra();
  for (const version of [4, 5]) {
    await using client = await startSession("cassandra-session.py", server.port, version, SIZE);
    await using session = await observeSession(server, client, EXPECTED.length + 12);
    const [clients, servers] = [session.clients, session.servers].map((spans) =>
      spans.filter(isOfSession),
    );
    assert.deepEqual(clients?.map(lineOf).sort(), EXPECTED);
    assert.deepEqual(servers?.map(lineOf).sort(), EXPECTED);
    const ids = new Set(clients?.map(({ spanId }) => spanId));
    for (const span of servers ?? []) assert.ok(ids.has(span.parentSpanId), lineOf(span));
    for (const { attributes } of clients ?? []) {
      assert.equal(attributes.get("db.system.name"), "cassandra");
      assert.equal(attributes.get("db.namespace"), "shop");
    }
  }
});
