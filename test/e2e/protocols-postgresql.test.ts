// SPDX-License-Identifier: Apache-2.0
// A real PostgreSQL server with psycopg2 and psycopg 3, both ends observed, none instrumented.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

const SESSION = join(import.meta.dirname, "../apps/postgresql-session.py");
const SETPRIV = "/usr/bin/setpriv";
const PACKAGES = "/usr/lib/postgresql";
/** The server refuses to run as root. */
const AS_POSTGRES = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"];

function makeCluster(): { readonly folder: string; readonly bin: string } {
  const [version = ""] = readdirSync(PACKAGES).sort().reverse();
  const bin = join(PACKAGES, version, "bin");
  const folder = mkdtempSync(join(tmpdir(), "backstitch-postgresql-"));
  execFileSync("chown", ["postgres:postgres", folder]);
  chmodSync(folder, 0o700);
  const initdb = [join(bin, "initdb"), "-D", folder, "-A", "trust", "-U", "tester", "-N"];
  execFileSync(SETPRIV, [...AS_POSTGRES, ...initdb], { stdio: "pipe", cwd: "/" });
  return { folder, bin };
}

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
].sort();

function lineOf(span: FlatSpan): string {
  const error = span.attributes.get("error.type");
  const line = `${span.name} | ${String(span.attributes.get("db.query.text"))}`;
  return error === undefined ? line : `${line} !${String(error)}`;
}

test("a session of PostgreSQL clients gives exactly one span a statement, on either side", async () => {
  const { folder, bin } = makeCluster();
  const [port = 0] = await freePorts(1);
  await using server = await startProcess({
    command: SETPRIV,
    args: [
      ...[...AS_POSTGRES, join(bin, "postgres"), "-D", folder, "-p", String(port)],
      ...["-h", "127.0.0.1", "-k", "", "-F"],
    ],
    cwd: "/",
    readyPort: port,
  });
  await using client = await startProcess({
    command: "/usr/bin/python3",
    args: [SESSION, String(port)],
    readyOutput: /waiting/,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: database}, {pids: [${client.pid}], name: app}]`,
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
    assert.equal(span.attributes.get("db.system.name"), "postgresql");
    assert.equal(span.attributes.get("db.namespace"), "postgres");
    assert.equal(span.attributes.get("server.port"), BigInt(port));
  }
  // Each statement's two spans carry one name, pipelined or not.
  const ids = new Set(clients.map(({ spanId }) => spanId));
  assert.equal(ids.size, EXPECTED.length);
  for (const span of servers) assert.ok(ids.has(span.parentSpanId), lineOf(span));
  rmSync(folder, { recursive: true, force: true });
});
