// SPDX-License-Identifier: Apache-2.0
// A real memcached with pymemcache, meta and binary commands, both ends observed.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  assertSession,
  observeSession,
  startMemcached,
  startSession,
} from "../support/databases.ts";

/** What the session does, in order, connection by connection. */
const EXPECTED = [
  ...["set | set ?", "get | get ?", "get | get ?", "set | set ?", "get | get ?"],
  ...["set | set ?", "set | set ?", "get | get ? ? ?", "gets | gets ?", "cas | cas ?"],
  ...["cas | cas ?", "incr | incr ?", "incr | incr ? !CLIENT_ERROR", "add | add ?"],
  ...["touch | touch ?", "set | set ?", "delete | delete ?", "stats | stats"],
  ...["version | version", "flush_all | flush_all"],
  ...["ms | ms ?", "mg | mg ?", "mg | mg ?", "mg | mg ?", "md | md ?", "mn | mn"],
  ...["set | set ?", "get | get ?", "getkq | getkq ?", "getkq | getkq ?", "noop | noop"],
  ...["increment | increment ? !6", "stat | stat ?", "delete | delete ?"],
];

test("a session of memcached clients gives exactly one span a command, on either side", async () => {
  await using server = await startMemcached();
  await using client = await startSession("memcached-session.py", server.port);
  await using session = await observeSession(server, client, EXPECTED.length);
  assertSession(session, EXPECTED);
  for (const { attributes } of session.clients) {
    assert.equal(attributes.get("db.system.name"), "memcached");
    assert.equal(attributes.get("server.port"), BigInt(server.port));
  }
});
