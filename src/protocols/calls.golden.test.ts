// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { BRPC } from "./brpc/protocol.ts";
import { callLine } from "./calls-testing.ts";
import { DNS } from "./dns/protocol.ts";
import { DUBBO } from "./dubbo/protocol.ts";
import { FASTCGI } from "./fastcgi/protocol.ts";
import { LDAP } from "./ldap/protocol.ts";
import { SOFARPC } from "./sofarpc/protocol.ts";
import { Conversation, TEST_OPTIONS } from "./testing.ts";
import { THRIFT } from "./thrift/protocol.ts";
import { ZOOKEEPER } from "./zookeeper/protocol.ts";

/** Captures of the live tests in test/e2e, or written by hand where no server can be had. */
const goldenSchema = z.strictObject({
  title: z.string(),
  records: z.array(z.strictObject({ from: z.enum(["client", "server"]), text: z.string() })),
  close: z.number(),
  /** `callLine` of each span, in order. */
  spans: z.array(z.string()),
  /** The same, where the server's are others. */
  served: z.array(z.string()).optional(),
});
type Golden = z.infer<typeof goldenSchema>;

const OPTIONS = { ...TEST_OPTIONS, pipelinedMax: 256 };

function play(talk: Conversation, golden: Golden, role: string, byBytes: boolean): void {
  for (const { from, text } of golden.records) {
    for (const part of byBytes ? text : [text]) {
      if (from === role) talk.sent(part);
      else talk.received(part);
    }
  }
  talk.close(golden.close);
  const expected = role === "server" ? (golden.served ?? golden.spans) : golden.spans;
  assert.deepEqual(talk.observed.ended.map(callLine), expected);
  assert.deepEqual(talk.observed.losses, []);
}

for (const protocol of [BRPC, DNS, DUBBO, FASTCGI, LDAP, SOFARPC, THRIFT, ZOOKEEPER]) {
  const folder = new URL(`./${protocol.name}/goldens/`, import.meta.url);
  describe(`${protocol.name} goldens`, () => {
    for (const file of readdirSync(folder)) {
      const golden = goldenSchema.parse(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
      for (const role of ["server", "client"] as const) {
        it(`${golden.title}, seen by the ${role}`, () => {
          play(new Conversation(protocol, OPTIONS), golden, role, false);
        });
      }
      it(`${golden.title}, byte by byte`, () => {
        play(new Conversation(protocol, OPTIONS), golden, "client", true);
      });
    }
  });
}
