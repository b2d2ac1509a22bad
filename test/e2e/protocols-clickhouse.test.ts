// SPDX-License-Identifier: Apache-2.0
// A real ClickHouse server with clickhouse-driver, both ends observed, none instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  assertSession,
  observeSession,
  startClickHouse,
  startSession,
} from "../support/databases.ts";

/** Span name, text and error of what the session does. */
const EXPECTED = [
  "SELECT | SELECT ? + ?, ?",
  "CREATE TABLE users | CREATE TABLE users (id UInt32, name String, tags Array(String)) ENGINE = Memory",
  "INSERT users | INSERT INTO users (id, name, tags) VALUES",
  "SELECT users | SELECT name, tags FROM users WHERE id IN (?) ORDER BY id",
  "SELECT missing | SELECT * FROM missing WHERE id = ? !60",
  "default | SELEC ? !62",
  "SELECT system.numbers | SELECT number, toString(number) FROM system.numbers LIMIT ?",
  "SELECT system.numbers | SELECT number FROM system.numbers LIMIT ?",
  "INSERT users | INSERT INTO users (id, name, tags) VALUES",
  "SELECT users | SELECT count() FROM users",
  "DROP TABLE users | DROP TABLE users",
];

test("a session of a ClickHouse client gives exactly one span a query, on either side", async () => {
  await using server = await startClickHouse();
  await using client = await startSession("clickhouse-session.py", server.port);
  await using session = await observeSession(server, client, EXPECTED.length);
  assertSession(session, EXPECTED);
  for (const { attributes } of session.clients) {
    assert.equal(attributes.get("db.system.name"), "clickhouse");
    assert.equal(attributes.get("server.port"), BigInt(server.port));
  }
  const rows = session.clients.map(({ attributes }) => attributes.get("db.response.returned_rows"));
  assert.ok(rows.includes(1n) && rows.includes(2n));
});
