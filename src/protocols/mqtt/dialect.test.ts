// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation } from "../testing.ts";
import { MQTT } from "./protocol.ts";

/** Packets by hand from the OASIS standards, MQTT 3.1.1 and 5.0. */
const str = (text: string): string => `\0${String.fromCharCode(text.length)}${text}`;
const packet = (first: number, rest: string): string =>
  String.fromCharCode(first, rest.length) + rest;
const connect = (level: number, properties = ""): string =>
  packet(
    0x10,
    `${str("MQTT")}${String.fromCharCode(level)}\x02\0\x3c${properties}${str("kitchen")}`,
  );
const CONNACK_5 = packet(0x20, "\0\0\0");

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);

function detect(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  return MQTT.detect(bytes, 0, bytes.length);
}

describe("MQTT", () => {
  it("follows both ends' packet ids, which may be the same", () => {
    const talk = new Conversation(MQTT).sent(connect(4)).received(packet(0x20, "\0\0"));
    talk
      .sent(packet(0x32, `${str("a/b")}\0\x01up`))
      .received(packet(0x32, `${str("c")}\0\x01down`));
    talk.sent(packet(0x40, "\0\x01")).received(packet(0x40, "\0\x01"));
    assert.deepEqual(lines(talk), [
      "connect",
      "deliver c bytes=4 id=1",
      "publish a/b bytes=2 id=1",
    ]);
    assert.deepEqual(
      talk.observed.ended.map(({ role }) => role),
      ["client", "server", "client"],
    );
  });

  it("ends a message of quality 2 with PUBCOMP, or with a refusing PUBREC", () => {
    const talk = new Conversation(MQTT).sent(connect(5, "\0")).received(CONNACK_5);
    talk.sent(packet(0x34, `${str("a")}\0\x07\0x`)).received(packet(0x50, "\0\x07"));
    talk.sent(packet(0x62, "\0\x07")).received(packet(0x70, "\0\x07"));
    talk.sent(packet(0x34, `${str("b")}\0\x08\0x`)).received(packet(0x50, "\0\x08\x97\0"));
    assert.deepEqual(lines(talk), [
      "connect",
      "publish a bytes=1 id=7",
      "publish b bytes=1 id=8 error=quota_exceeded",
    ]);
    const [, first] = talk.observed.ended;
    assert.deepEqual(first?.timesNs, [3000, 3000, 4000, 6000]);
  });

  it("remembers topic aliases of each direction, and forgets them after a loss", () => {
    const talk = new Conversation(MQTT).sent(connect(5, "\0")).received(CONNACK_5);
    talk
      .sent(packet(0x30, `${str("long/topic")}\x03\x23\0\x01x`))
      .sent(packet(0x30, `\0\0\x03\x23\0\x01y`));
    talk.lost(SENT, 10).sent(packet(0x30, `\0\0\x03\x23\0\x01z`));
    assert.deepEqual(lines(talk), [
      "connect",
      "publish long/topic bytes=1",
      "publish long/topic bytes=1",
      "publish bytes=1",
    ]);
  });

  it("passes the properties of MQTT 5 to find the payload", () => {
    const properties = `\x01\x01\x02\0\0\0\x3c\x03${str("text/plain")}\x26${str("k")}${str("v")}\x0b\x80\x01`;
    const head = String.fromCharCode(properties.length) + properties;
    const talk = new Conversation(MQTT).received(connect(5, "\0")).sent(CONNACK_5);
    talk.received(packet(0x30, `${str("t")}${head}12345`));
    assert.deepEqual(lines(talk), ["connect", "publish t bytes=5"]);
  });

  it("names refusals of either version", () => {
    const old = new Conversation(MQTT).sent(connect(4)).received(packet(0x20, "\0\x05"));
    assert.deepEqual(lines(old), ["connect error=not_authorized"]);
    const talk = new Conversation(MQTT).sent(connect(5, "\0")).received(packet(0x20, "\0\x87\0"));
    talk.sent(packet(0x82, `\0\x02\0${str("a/#")}\x01`)).received(packet(0x90, "\0\x02\0\x8f"));
    assert.deepEqual(lines(talk), [
      "connect error=not_authorized",
      "subscribe a/# error=topic_filter_invalid",
    ]);
    assert.equal(talk.observed.ended[0]?.attributes["messaging.client.id"], "kitchen");
  });

  it("makes one span of a message that is sent again", () => {
    const talk = new Conversation(MQTT).sent(packet(0x32, `${str("a")}\0\x01x`));
    talk
      .sent(packet(0x3a, `${str("a")}\0\x01x`))
      .received(packet(0x40, "\0\x01"))
      .close();
    assert.deepEqual(lines(talk), ["publish a id=1"]);
  });

  it("gives up unacknowledged messages when acknowledgements may be lost: ids come again", () => {
    const talk = new Conversation(MQTT).sent(packet(0x32, `${str("a")}\0\x01x`)).lost(RECEIVED, 4);
    talk.received(packet(0x40, "\0\x02")).sent(packet(0x32, `${str("b")}\0\x01x`));
    talk.received(packet(0x40, "\0\x01")).close();
    assert.deepEqual(lines(talk), ["publish b id=1"]);
    assert.deepEqual(talk.observed.abandoned, ["gap"]);
  });

  it("is recognised by its CONNECT", () => {
    assert.equal(detect(connect(4)), "yes");
    assert.equal(detect(connect(5, "\0").slice(0, 5)), "more");
    assert.equal(detect(packet(0x10, `${str("MQIsdp")}\x03\x02\0\x3c${str("x")}`)), "yes");
    assert.equal(detect(packet(0x30, `${str("a/b")}text`)), "weak");
    assert.equal(detect(packet(0x30, `${str("a/+")}text`)), "no");
    assert.equal(detect("GET / HTTP/1.1\r\n"), "no");
    assert.equal(detect("\x16\x03\x01\x02\0\x01"), "no");
  });
});
