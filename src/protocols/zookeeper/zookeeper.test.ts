// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callLine, u32 } from "../calls-testing.ts";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { ZOOKEEPER } from "./protocol.ts";

/** By zookeeper.jute and the programmer's guide, by hand. */
const framed = (text: string): string => u32(text.length) + text;
const text = (value: string): string => u32(value.length) + value;
const CONNECT = framed(
  `${u32(0)}${u32(0)}${u32(0)}${u32(30_000)}${u32(0)}${u32(0)}${text("p".repeat(16))}\0`,
);
const connected = (timeout: number): string =>
  framed(`${u32(0)}${u32(timeout)}${u32(1)}${u32(2)}${text("p".repeat(16))}\0`);
const request = (xid: number, code: number, rest = ""): string =>
  framed(u32(xid) + u32(code) + rest);
const response = (xid: number, error = 0, rest = ""): string =>
  framed(u32(xid) + u32(4) + u32(77) + u32(error) + rest);

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);

describe("ZooKeeper", () => {
  it("pairs a session's requests by their ids; pings and events are none", () => {
    const talk = new Conversation(ZOOKEEPER).sent(CONNECT).received(connected(30_000));
    talk.sent(request(1, 4, `${text("/shop/orders/17")}\x01`)).sent(request(2, 14, "\xff"));
    talk
      .sent(request(-2, 11))
      .received(response(-2))
      .received(response(-1, 0, `${u32(1)}${u32(3)}`));
    talk.received(response(1, -101)).received(response(2));
    talk.sent(request(3, -11)).received(response(3)).close();
    assert.deepEqual(lines(talk), [
      "connect db.operation.name=connect db.system.name=zookeeper",
      "getData db.operation.name=getData db.query.text=getData /shop/?/? db.response.status_code=-101 db.system.name=zookeeper error.type=NONODE",
      "multi db.operation.name=multi db.system.name=zookeeper",
      "closeSession db.operation.name=closeSession db.system.name=zookeeper",
    ]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("says that a session is gone, and shows whole paths only if that is wanted", () => {
    const talk = new Conversation(ZOOKEEPER, { ...TEST_OPTIONS, rawStatements: true });
    talk.received(CONNECT).sent(connected(0));
    talk.received(request(1, 3, `${text("/a/secret")}\0`)).sent(response(1));
    assert.deepEqual(lines(talk), [
      "connect db.operation.name=connect db.system.name=zookeeper error.type=SESSIONEXPIRED",
      "exists db.operation.name=exists db.query.text=exists /a/secret db.system.name=zookeeper",
    ]);
  });

  it("finds its place on a connection that is older", () => {
    const talk = new Conversation(ZOOKEEPER).lost(0, 500).lost(1, 600);
    talk
      .received(response(40))
      .sent(request(41, 8, `${text("/a")}\0`))
      .received(response(41));
    assert.deepEqual(talk.names, ["getChildren"]);
  });

  it("is recognised by a path or a session's begin", () => {
    const detect = (bytes: string): string =>
      ZOOKEEPER.detect(Buffer.from(bytes, "latin1"), 0, bytes.length);
    assert.equal(detect(CONNECT), "yes");
    assert.equal(detect(connected(4000)), "yes");
    assert.equal(detect(request(1, 4, `${text("/shop")}\0`)), "yes");
    assert.equal(detect(request(-2, 11)), "yes");
    assert.equal(detect(request(1, 4, `${text("shop")}\0`)), "no");
    assert.equal(detect("\0\0\0\x20\0\x12\0\x03\0\0\0\x01\0\x04test"), "no");
    assert.equal(detect("\0\0\0\x20"), "more");
  });
});
