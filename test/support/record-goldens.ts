// SPDX-License-Identifier: Apache-2.0
/**
 * Records the goldens of databases: a real server, a session of test/apps, and between them a proxy.
 * `node test/support/record-goldens.ts mysql|memcached|mongodb|cassandra|clickhouse`. What the parser says of the
 * recording is printed and written as what is expected: compare it with the session before it is
 * committed.
 */
import { writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { CASSANDRA } from "../../src/protocols/cassandra/protocol.ts";
import { CLICKHOUSE } from "../../src/protocols/clickhouse/protocol.ts";
import { MEMCACHED } from "../../src/protocols/memcached/protocol.ts";
import { MONGODB } from "../../src/protocols/mongodb/protocol.ts";
import { MYSQL } from "../../src/protocols/mysql/protocol.ts";
import { Conversation, TEST_OPTIONS } from "../../src/protocols/testing.ts";
import {
  runSession,
  startCassandra,
  startClickHouse,
  startMariadb,
  startMemcached,
  startMongodb,
  startSession,
} from "./databases.ts";
import { type RecordedConnection, startRecordingProxy } from "./recording-proxy.ts";

/** Small sessions: the last argument says how much is sent. */
const SESSIONS = {
  mysql: [{ protocol: MYSQL, start: startMariadb, title: "MariaDB, PyMySQL", args: ["20"] }],
  memcached: [
    { protocol: MEMCACHED, start: startMemcached, title: "memcached, pymemcache", args: ["5000"] },
  ],
  mongodb: [
    { protocol: MONGODB, start: startMongodb, title: "mongo-java-server, PyMongo", args: ["20"] },
  ],
  clickhouse: [
    {
      protocol: CLICKHOUSE,
      start: startClickHouse,
      title: "ClickHouse 18.16, clickhouse-driver",
      args: ["50"],
    },
  ],
  cassandra: ["4", "5"].map((version) => ({
    protocol: CASSANDRA,
    start: startCassandra,
    title: `Cassandra, cassandra-driver, version ${version}`,
    args: [version, "1000"],
  })),
} as const;

type Session = (typeof SESSIONS)[keyof typeof SESSIONS][number];

function statementsOf(session: Session, connection: RecordedConnection): readonly string[] {
  const talk = new Conversation(session.protocol, { ...TEST_OPTIONS, pipelinedMax: 256 });
  for (const { from, bytes } of connection.parts) {
    const text = bytes.toString("latin1");
    if (from === "server") talk.sent(text);
    else talk.received(text);
  }
  talk.close();
  console.log(`lost: ${talk.observed.losses.join(", ")}`);
  return talk.observed.ended.map(({ name, attributes }) => {
    const error = attributes["error.type"];
    const text = String(attributes["db.query.text"] ?? name);
    return error === undefined ? text : `${text} !${String(error)}`;
  });
}

async function record(session: Session, prefix: string): Promise<void> {
  await using server = await session.start();
  await using proxy = await startRecordingProxy(server.port);
  const script = `${session.protocol.name}-session.py`;
  await using client = await startSession(script, proxy.port, ...session.args);
  await runSession(client);
  await delay(200);
  proxy.connections.forEach((connection, index) => {
    const statements = statementsOf(session, connection);
    console.log(`connection ${index + 1}`, statements);
    const records = connection.parts.map(({ from, bytes }) => ({
      from,
      text: bytes.toString("latin1"),
    }));
    const title = `${session.title}, connection ${index + 1}`;
    const folder = `../../src/protocols/${session.protocol.name}/goldens/`;
    const file = new URL(`${folder}${prefix}${index}.json`, import.meta.url);
    const golden = { title, records, close: 0, statements };
    writeFileSync(file, `${JSON.stringify(golden, undefined, 2)}\n`);
  });
}

const sessions = Object.entries(SESSIONS).find(([name]) => name === process.argv[2])?.[1] ?? [];
if (sessions.length === 0) {
  console.error(`Name one of: ${Object.keys(SESSIONS).join(", ")}.`);
  process.exitCode = 1;
}
for (const session of sessions) {
  const isVersioned = sessions.length > 1;
  await record(session, isVersioned ? `session-v${session.args[0]}-` : "session-");
}
