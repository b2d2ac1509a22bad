// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { CASSANDRA } from "./cassandra/protocol.ts";
import { CLICKHOUSE } from "./clickhouse/protocol.ts";
import { MEMCACHED } from "./memcached/protocol.ts";
import { MONGODB } from "./mongodb/protocol.ts";
import { MYSQL } from "./mysql/protocol.ts";
import { POSTGRESQL } from "./postgresql/protocol.ts";
import { REDIS } from "./redis/protocol.ts";
import { Conversation } from "./testing.ts";

/** Captures of the sessions in test/apps: what the client's script did is what is expected. */
const goldenSchema = z.strictObject({
  title: z.string(),
  records: z.array(z.strictObject({ from: z.enum(["client", "server"]), text: z.string() })),
  close: z.number(),
  /** `db.query.text`, or else the name, of each span in order, with `!` and its error. */
  statements: z.array(z.string()),
});

for (const protocol of [REDIS, POSTGRESQL, MYSQL, MEMCACHED, MONGODB, CASSANDRA, CLICKHOUSE]) {
  const folder = new URL(`./${protocol.name}/goldens/`, import.meta.url);
  describe(`${protocol.name} goldens`, () => {
    for (const file of readdirSync(folder)) {
      const golden = goldenSchema.parse(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
      for (const role of ["server", "client"] as const) {
        it(`${golden.title}, seen by the ${role}`, () => {
          const talk = new Conversation(protocol);
          for (const { from, text } of golden.records) {
            if (from === role) talk.sent(text);
            else talk.received(text);
          }
          talk.close(golden.close);
          const statements = talk.observed.ended.map(({ name, attributes }) => {
            const error = attributes["error.type"];
            const text = String(attributes["db.query.text"] ?? name);
            return error === undefined ? text : `${text} !${String(error)}`;
          });
          assert.deepEqual(statements, golden.statements);
          assert.deepEqual(talk.observed.losses, []);
        });
      }
    }
  });
}
