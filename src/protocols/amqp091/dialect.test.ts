// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation } from "../testing.ts";
import { AMQP091 } from "./protocol.ts";

/** Frames by hand from the AMQP 0-9-1 specification, 2.3.5 and 4.2. */
const i8 = (value: number): string => String.fromCharCode(value & 255);
const i16 = (value: number): string => i8(value >> 8) + i8(value);
const i32 = (value: number): string => i16(value >> 16) + i16(value);
const i64 = (value: number): string => i32(0) + i32(value);
const str = (text: string): string => i8(text.length) + text;

function frame(type: number, channel: number, payload: string): string {
  return `${i8(type) + i16(channel) + i32(payload.length) + payload}\xce`;
}
const method = (channel: number, classId: number, methodId: number, rest = ""): string =>
  frame(1, channel, i16(classId) + i16(methodId) + rest);
const content = (channel: number, ...bodies: readonly string[]): string =>
  frame(2, channel, i16(60) + i16(0) + i64(bodies.join("").length) + i16(0)) +
  bodies.map((body) => frame(3, channel, body)).join("");
const publish = (channel: number, exchange: string, key: string): string =>
  method(channel, 60, 40, `${i16(0) + str(exchange) + str(key)}\0`);
const confirm = (channel: number): string => method(channel, 85, 10, "\0");

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);

describe("AMQP 0-9-1", () => {
  it("ends an unconfirmed message with the last frame of its body", () => {
    const talk = new Conversation(AMQP091).sent("AMQP\0\0\x09\x01").sent(publish(1, "shop", "new"));
    talk.sent(content(1, "one", "and", "two"));
    assert.deepEqual(lines(talk), ["publish shop:new bytes=9 key=new"]);
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [2000, 3000, 0, 3000]);
    assert.equal(talk.observed.ended[0]?.position, 8);
  });

  it("keeps channels apart whose messages are interleaved", () => {
    const talk = new Conversation(AMQP091).sent(publish(1, "", "a") + publish(2, "", "b"));
    talk.sent(content(2, "bb")).sent(content(1, "a"));
    assert.deepEqual(lines(talk), ["publish b bytes=2 key=b", "publish a bytes=1 key=a"]);
  });

  it("ends confirmed messages with their confirmation, several at once, refused ones with an error", () => {
    const talk = new Conversation(AMQP091).sent(confirm(3)).received(method(3, 85, 11));
    for (const key of ["a", "b", "c"]) talk.sent(publish(3, "", key) + content(3, "x"));
    talk.received(method(3, 60, 80, `${i64(2)}\x01`)).received(method(3, 60, 120, `${i64(3)}\0`));
    assert.deepEqual(lines(talk), [
      "confirm.select",
      "publish a bytes=1 key=a",
      "publish b bytes=1 key=b",
      "publish c bytes=1 key=c error=nack",
    ]);
    assert.deepEqual(talk.observed.ended[3]?.timesNs, [5000, 5000, 7000, 7000]);
  });

  it("counts no confirmations after messages may have been lost", () => {
    const talk = new Conversation(AMQP091).sent(confirm(1)).received(method(1, 85, 11));
    talk.lost(SENT, 40).sent(publish(1, "", "a") + content(1, "x"));
    talk.received(method(1, 60, 80, `${i64(1)}\0`)).close();
    assert.deepEqual(lines(talk), ["confirm.select", "publish a bytes=1 key=a"]);
    assert.equal(talk.observed.ended[1]?.timesNs[2], 0);
  });

  it("names the queue of a delivery by its consumer, whoever named that", () => {
    const consume = (tag: string): string =>
      method(1, 60, 20, `${i16(0) + str("orders") + str(tag)}\0${i32(0)}`);
    const deliver = (tag: string): string =>
      method(1, 60, 60, `${str(tag) + i64(7)}\0${str("shop")}${str("new")}`) + content(1, "hi");
    const talk = new Conversation(AMQP091)
      .sent(consume(""))
      .received(method(1, 60, 21, str("ctag-1")));
    talk.received(deliver("ctag-1")).sent(method(1, 60, 80, `${i64(7)}\0`));
    assert.deepEqual(lines(talk), [
      "basic.consume orders",
      "deliver shop:new:orders bytes=2 key=new tag=7",
      "ack tag=7",
    ]);
    assert.equal(talk.observed.ended[2]?.attributes["messaging.operation.type"], "settle");
  });

  it("ends what a closed channel refuses with the reason", () => {
    const talk = new Conversation(AMQP091).sent(confirm(1)).received(method(1, 85, 11));
    talk.sent(publish(1, "none", "a") + content(1, "x"));
    talk.received(method(1, 20, 40, i16(404) + str("NOT_FOUND - no exchange") + i16(60) + i16(40)));
    talk.sent(method(1, 20, 41));
    assert.deepEqual(lines(talk), [
      "confirm.select",
      "publish none:a bytes=1 key=a error=NOT_FOUND",
      "channel.close error=NOT_FOUND",
    ]);
  });

  it("waits for no answer to a call that asks for none", () => {
    const talk = new Conversation(AMQP091);
    talk.sent(method(1, 50, 10, `${i16(0) + str("q")}\x10${i32(0)}`)).close();
    assert.deepEqual(lines(talk), ["queue.declare q"]);
    assert.equal(talk.observed.ended[0]?.error, undefined);
  });

  it("passes bodies that were not captured", () => {
    const talk = new Conversation(AMQP091).sent(publish(1, "", "a"));
    talk.sent(content(1, "x".repeat(60_000), "y".repeat(60_000)), 100).lost(RECEIVED, 0);
    talk.sent(publish(1, "", "b") + content(1, "z")).close();
    assert.deepEqual(lines(talk).at(-1), "publish b bytes=1 key=b");
  });

  it("is recognised by its header and its methods, and not taken for AMQP 1.0", () => {
    const detect = (text: string): string => {
      const bytes = Buffer.from(text, "latin1");
      return AMQP091.detect(bytes, 0, bytes.length);
    };
    assert.equal(detect("AMQP\0\0\x09\x01"), "yes");
    assert.equal(detect(method(0, 10, 10, "\0\x09")), "yes");
    assert.equal(detect(frame(8, 0, "")), "weak");
    assert.equal(detect("AMQP\0"), "more");
    assert.equal(detect("AMQP\0\x01\0\0"), "no");
    assert.equal(detect("AMQP\x03\x01\0\0"), "no");
    assert.equal(detect("\x01\0\x01\0\0\0\x04\0\x63\0\x0a\xce"), "no");
    assert.equal(detect("GET / HTTP/1.1\r\n"), "no");
  });
});
