// SPDX-License-Identifier: Apache-2.0
// A real MariaDB server with PyMySQL, both ends observed, none instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertSession, observeSession, startMariadb, startSession } from "../support/databases.ts";

/** Span name, text and error of what the session does. */
const EXPECTED = [
  "CREATE TABLE users | CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(?), note TEXT)",
  "INSERT users | INSERT INTO users (id, name) VALUES (?, ?), (?, ?)",
  "SELECT users | SELECT name FROM users WHERE id IN (?) AND name <> ?",
  "SELECT missing | SELECT * FROM missing WHERE id = ? !1146",
  "INSERT users | INSERT INTO users (id) VALUES (?) !1062",
  "SELECT SELECT users | SELECT ?; SELECT name FROM users WHERE id = ?",
  "CREATE PROCEDURE find_user SELECT users | CREATE PROCEDURE find_user(IN wanted INT) SELECT name FROM users WHERE id = wanted",
  ...["SET | SET @_find_user_0=?", "CALL find_user | CALL find_user(@_find_user_0)"],
  ...new Array<string>(3).fill("SELECT users | SELECT name FROM users WHERE id = ?"),
  "UPDATE users | UPDATE users SET note = ? WHERE id = ?",
  "SELECT nowhere | SELECT * FROM nowhere WHERE id = ? !1146",
  "LOAD users | LOAD DATA LOCAL INFILE ? INTO TABLE users",
  "SELECT users | SELECT * FROM users WHERE id >= ?",
  "SELECT users | SELECT COUNT(*) FROM users",
  "INSERT users | INSERT INTO users (id, note) VALUES (?, ?",
  "SELECT users | SELECT note FROM users WHERE id = ?",
  ...["PING", "INIT_DB", "SELECT | SELECT DATABASE()"],
  ...["USE `shop` | USE `shop`", "SELECT | SELECT DATABASE()", "COMMIT | COMMIT"],
];

test("a session of a MySQL client gives exactly one span a command, on either side", async () => {
  await using server = await startMariadb();
  await using client = await startSession("mysql-session.py", server.port);
  await using session = await observeSession(server, client, EXPECTED.length);
  assertSession(session, EXPECTED);
  for (const { attributes } of session.clients) {
    assert.equal(attributes.get("db.system.name"), "mariadb");
    assert.equal(attributes.get("server.port"), BigInt(server.port));
  }
});
