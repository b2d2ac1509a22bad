// SPDX-License-Identifier: Apache-2.0
// A real PostgreSQL server with psycopg2 and psycopg 3, both ends observed, none instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  assertSession,
  observeSession,
  startPostgresql,
  startSession,
} from "../support/databases.ts";

/** Span name, text and error of what the session does. */
const EXPECTED = [
  "CREATE TABLE users | CREATE TABLE users (id int PRIMARY KEY, name text)",
  "INSERT users | INSERT INTO users VALUES (?, ?), (?, ?)",
  "SELECT users | SELECT name FROM users WHERE id IN (?) AND name <> ?",
  "SELECT missing | SELECT * FROM missing WHERE id = ? !42P01",
  "SELECT SELECT | SELECT ?; SELECT ?",
  "COPY users | COPY users FROM STDIN",
  "COPY users | COPY users TO STDOUT",
  ...new Array<string>(3).fill("SELECT users | SELECT name FROM users WHERE id = $1"),
  "UPDATE users | UPDATE users SET name = $1 WHERE id = $2",
  "INSERT users | INSERT INTO users (id) VALUES ($1) !23505",
  ...new Array<string>(5).fill("SELECT users | SELECT count(*) FROM users WHERE id > $1"),
  "COPY users | COPY users (id, name) FROM STDIN",
  "DELETE users | DELETE FROM users",
];

test("a session of PostgreSQL clients gives exactly one span a statement, on either side", async () => {
  await using server = await startPostgresql();
  await using client = await startSession("postgresql-session.py", server.port);
  await using session = await observeSession(server, client, EXPECTED.length);
  assertSession(session, EXPECTED);
  for (const { attributes } of session.clients) {
    assert.equal(attributes.get("db.system.name"), "postgresql");
    assert.equal(attributes.get("db.namespace"), "postgres");
    assert.equal(attributes.get("server.port"), BigInt(server.port));
  }
});
