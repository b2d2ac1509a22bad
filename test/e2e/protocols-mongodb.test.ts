// SPDX-License-Identifier: Apache-2.0
// A server of MongoDB's wire protocol in Java with PyMongo, both ends observed, none instrumented.
import assert from "node:assert/strict";
import { test } from "node:test";
import { observeSession, startMongodb, startSession } from "../support/databases.ts";
import type { FlatSpan } from "../support/otlp-json.ts";

/** What the session does. */
const EXPECTED = [
  ...["ping", "insert users", "insert users (4)", "find users", "aggregate users"],
  ...["update users", "update users (2)", "delete users", "insert users !11000"],
  ...["noSuchCommand !59", "createIndexes users", "find large", "getMore large", "drop users"],
  // The driver splits them by what the server takes at once.
  ...["insert large", "insert large"],
].sort();

/** The driver may ask for more once more, and says goodbye, as it likes. */
const MAYBE: ReadonlySet<string> = new Set(["endSessions", "killCursors large"]);

function lineOf(span: FlatSpan): string {
  const size = span.attributes.get("db.operation.batch.size");
  const error = span.attributes.get("error.type");
  // Rows beyond what is captured of a message are not counted.
  const isCounted = size !== undefined && span.name !== "insert large";
  const line = isCounted ? `${span.name} (${String(size)})` : span.name;
  return error === undefined ? line : `${line} !${String(error)}`;
}

test("a session of a MongoDB client gives exactly one span a command, on either side", async () => {
  await using server = await startMongodb();
  await using client = await startSession("mongodb-session.py", server.port);
  await using session = await observeSession(server, client, EXPECTED.length);
  const lines = (spans: readonly FlatSpan[]): readonly string[] =>
    spans
      .map(lineOf)
      .filter((line) => !MAYBE.has(line))
      .sort();
  assert.deepEqual(lines(session.clients), EXPECTED);
  assert.deepEqual(lines(session.servers), EXPECTED);
  const ids = new Set(session.clients.map(({ spanId }) => spanId));
  for (const span of session.servers) assert.ok(ids.has(span.parentSpanId), span.name);
  for (const { attributes } of session.clients) {
    assert.equal(attributes.get("db.system.name"), "mongodb");
    assert.equal(attributes.get("server.port"), BigInt(server.port));
  }
});
