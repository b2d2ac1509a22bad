// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation } from "../testing.ts";
import { ROCKETMQ } from "./protocol.ts";

/** Commands by hand from https://rocketmq.apache.org/docs (remoting protocol). */
const i8 = (value: number): string => String.fromCharCode(value & 255);
const i16 = (value: number): string => i8(value >> 8) + i8(value);
const i32 = (value: number): string => i16(value >> 16) + i16(value);

interface Command {
  readonly code: number;
  readonly opaque: number;
  readonly flag?: number;
  readonly extFields?: Readonly<Record<string, string>>;
}

function json(command: Command, body = ""): string {
  const head = JSON.stringify({ flag: 0, language: "JAVA", version: 445, ...command });
  return i32(4 + head.length + body.length) + i32(head.length) + head + body;
}

function binary({ code, opaque, flag = 0, extFields = {} }: Command, body = ""): string {
  const fields = Object.entries(extFields)
    .map(([name, value]) => i16(name.length) + name + i32(value.length) + value)
    .join("");
  const head = `${i16(code)}\0${i16(445)}${i32(opaque)}${i32(flag)}${i32(0)}${i32(fields.length)}${fields}`;
  return i32(4 + head.length + body.length) + i32((1 << 24) | head.length) + head + body;
}

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);
const SEND = { b: "orders", e: "3", i: "TAGS\x01paid\x02UNIQ_KEY\x017F000001\x02" };

describe("RocketMQ", () => {
  for (const [name, write] of [
    ["JSON", json],
    ["binary", binary],
  ] as const) {
    it(`pairs commands with ${name} headers by their opaque number`, () => {
      const talk = new Conversation(ROCKETMQ);
      talk.sent(write({ code: 310, opaque: 7, extFields: SEND }, "hello"));
      talk.sent(write({ code: 105, opaque: 8, extFields: { topic: "missing" } }));
      talk.received(write({ code: 17, opaque: 8, flag: 1 }));
      talk.received(
        write({ code: 0, opaque: 7, flag: 1, extFields: { queueId: "3", msgId: "x" } }),
      );
      assert.deepEqual(lines(talk), [
        "GET_ROUTEINFO_BY_TOPIC missing error=TOPIC_NOT_EXIST",
        "send orders partition=3 bytes=5 id=7F000001",
      ]);
      assert.equal(talk.observed.ended[1]?.attributes["rocketmq.message.tag"], "paid");
      assert.deepEqual(talk.observed.losses, []);
    });
  }

  it("ends a one-way command at once", () => {
    const talk = new Conversation(ROCKETMQ).sent(json({ code: 34, opaque: 1, flag: 2 })).close();
    assert.deepEqual(lines(talk), ["HEART_BEAT"]);
    assert.equal(talk.observed.ended[0]?.error, undefined);
  });

  it("takes a pull that finds nothing for what it is", () => {
    const fields = { topic: "orders", queueId: "0", consumerGroup: "billing" };
    const talk = new Conversation(ROCKETMQ).sent(json({ code: 11, opaque: 1, extFields: fields }));
    talk.received(json({ code: 19, opaque: 1, flag: 1 }));
    talk.sent(json({ code: 11, opaque: 2, extFields: fields }));
    talk.received(json({ code: 0, opaque: 2, flag: 1 }, "m".repeat(300)));
    assert.deepEqual(lines(talk), [
      "receive orders partition=0 group=billing count=0",
      "receive orders partition=0 group=billing bytes=300",
    ]);
  });

  it("lets the broker ask the client, with the same numbers", () => {
    const talk = new Conversation(ROCKETMQ).sent(json({ code: 35, opaque: 1 }));
    talk.received(json({ code: 307, opaque: 1 })).sent(json({ code: 0, opaque: 1, flag: 1 }));
    talk.received(json({ code: 0, opaque: 1, flag: 1 }));
    assert.deepEqual(
      talk.observed.ended.map(({ role, name }) => `${role} ${name}`),
      ["server GET_CONSUMER_RUNNING_INFO", "client UNREGISTER_CLIENT"],
    );
  });

  it("is recognised by either header", () => {
    const detect = (text: string): string => {
      const bytes = Buffer.from(text, "latin1");
      return ROCKETMQ.detect(bytes, 0, bytes.length);
    };
    assert.equal(detect(json({ code: 34, opaque: 1 })), "yes");
    assert.equal(detect(binary({ code: 34, opaque: 1 })), "yes");
    assert.equal(detect("\0\0\0\x20\0\x12\0\x03aaaabbbb"), "no");
    assert.equal(detect("GET / HTTP/1.1\r\n\r\n"), "no");
    assert.equal(detect("\0\0"), "more");
  });
});
