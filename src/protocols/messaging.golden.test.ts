// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { z } from "zod";
import { AMQP10 } from "./amqp10/protocol.ts";
import { AMQP091 } from "./amqp091/protocol.ts";
import { KAFKA } from "./kafka/protocol.ts";
import { messagingLine } from "./messaging-testing.ts";
import { MQTT } from "./mqtt/protocol.ts";
import { NATS } from "./nats/protocol.ts";
import { PULSAR } from "./pulsar/protocol.ts";
import { ROCKETMQ } from "./rocketmq/protocol.ts";
import { Conversation, TEST_OPTIONS } from "./testing.ts";

/** Captures of the sessions in test/e2e, and frames by hand where there is no server: what the client did is what is expected. */
const goldenSchema = z.strictObject({
  title: z.string(),
  records: z.array(z.strictObject({ from: z.enum(["client", "server"]), hex: z.string() })),
  close: z.number(),
  /** `messagingLine` of each span, in order. */
  spans: z.array(z.string()),
});

for (const protocol of [AMQP091, AMQP10, KAFKA, MQTT, NATS, PULSAR, ROCKETMQ]) {
  const folder = new URL(`./${protocol.name}/goldens/`, import.meta.url);
  describe(`${protocol.name} goldens`, () => {
    for (const file of readdirSync(folder)) {
      const golden = goldenSchema.parse(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
      for (const role of ["server", "client"] as const) {
        it(`${golden.title}, seen by the ${role}`, () => {
          const talk = new Conversation(protocol, { ...TEST_OPTIONS, pipelinedMax: 256 });
          for (const { from, hex } of golden.records) {
            const text = Buffer.from(hex, "hex").toString("latin1");
            if (from === role) talk.sent(text);
            else talk.received(text);
          }
          talk.close(golden.close);
          assert.deepEqual(talk.observed.ended.map(messagingLine), golden.spans);
          assert.deepEqual(talk.observed.losses, []);
        });
      }
      it(`${golden.title}, byte by byte`, () => {
        const talk = new Conversation(protocol, { ...TEST_OPTIONS, pipelinedMax: 256 });
        for (const { from, hex } of golden.records) {
          for (const byte of Buffer.from(hex, "hex")) {
            const text = String.fromCharCode(byte);
            if (from === "server") talk.sent(text);
            else talk.received(text);
          }
        }
        talk.close(golden.close);
        assert.deepEqual(talk.observed.ended.map(messagingLine), golden.spans);
      });
    }
  });
}
