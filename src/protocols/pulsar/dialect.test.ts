// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation } from "../testing.ts";
import { PULSAR } from "./protocol.ts";

/** Commands by hand from PulsarApi.proto and the binary protocol's specification. */
const i32 = (value: number): string =>
  String.fromCharCode(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255);
const varint = (value: number): string =>
  value < 128
    ? String.fromCharCode(value)
    : String.fromCharCode((value & 127) | 128) + varint(value >>> 7);
const num = (field: number, value: number): string => varint(field * 8) + varint(value);
const text = (field: number, value: string): string =>
  varint(field * 8 + 2) + varint(value.length) + value;

function command(type: number, fields: string, payload = ""): string {
  const body = num(1, type) + text(type, fields);
  return i32(4 + body.length + payload.length) + i32(body.length) + body + payload;
}
const producer = (topic: string, id: number, request: number): string =>
  command(5, text(1, topic) + num(2, id) + num(3, request));
const send = (id: number, sequence: number, body: string): string =>
  command(6, num(1, id) + num(2, sequence), `${i32(2)}\x08\0${body}`);

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);

describe("Pulsar", () => {
  it("pairs messages by producer and sequence, with the producer's topic", () => {
    const talk = new Conversation(PULSAR).sent(producer("persistent://shop/eu/orders", 4, 1));
    talk
      .received(command(17, num(1, 1) + text(2, "p")))
      .sent(send(4, 0, "one") + send(4, 1, "four"));
    talk.received(command(8, num(1, 4) + num(2, 1) + num(3, 15) + text(4, "over")));
    talk.received(command(7, num(1, 4) + num(2, 0) + text(3, num(1, 9) + num(2, 8))));
    assert.deepEqual(lines(talk), [
      "producer shop/eu/orders",
      "send shop/eu/orders count=1 bytes=4 error=TopicTerminatedError",
      "send shop/eu/orders count=1 bytes=3 id=9:8:-1",
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("waits for the answer to an acknowledgement that asks for one", () => {
    const id = text(3, num(1, 1) + num(2, 2) + num(3, 3));
    const talk = new Conversation(PULSAR).sent(command(10, num(1, 5) + num(2, 0) + id));
    talk.sent(command(10, num(1, 5) + num(2, 0) + id + num(8, 77)));
    talk.received(command(38, num(1, 5) + num(4, 13) + num(6, 77)));
    assert.deepEqual(lines(talk), ["ack id=1:2:3", "ack id=1:2:3 error=ConsumerNotFound"]);
  });

  it("ends a refused connection with the reason", () => {
    const talk = new Conversation(PULSAR).sent(command(2, text(1, "client")));
    talk.received(command(14, num(1, -1 >>> 0) + num(2, 3) + text(3, "no")));
    assert.deepEqual(lines(talk), ["connect error=AuthenticationError"]);
  });

  it("is recognised by a command that names itself twice", () => {
    const detect = (bytes: string): string => {
      const data = Buffer.from(bytes, "latin1");
      return PULSAR.detect(data, 0, data.length);
    };
    assert.equal(detect(command(2, text(1, "client"))), "yes");
    assert.equal(detect(producer("persistent://public/default/orders", 1, 2)), "yes");
    assert.equal(detect(send(1, 2, "body")), "yes");
    assert.equal(detect(command(2, text(1, "client")).slice(0, 9)), "more");
    assert.equal(detect("\0\0\0\x20\0\0\0\x03aaaabbbb"), "no");
    assert.equal(detect("GET / HTTP/1.1\r\n\r\n"), "no");
  });
});
