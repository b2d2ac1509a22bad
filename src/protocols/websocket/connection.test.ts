// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RECEIVED, SENT } from "../../model/protocol.ts";
import { HTTP1 } from "../http1/protocol.ts";
import { Conversation, type SeenExchange } from "../testing.ts";

// Frames of RFC 6455 section 5.7.
const HELLO = "\x81\x05Hello";
const MASKED_HELLO = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const FRAGMENTED = "\x01\x03Hel\x80\x02lo";
const PING = "\x89\x05Hello";
const MASKED_PONG = "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const BINARY_256 = `\x82\x7e\x01\x00${"x".repeat(256)}`;
const BINARY_65536 = `\x82\x7f\0\0\0\0\0\x01\0\0${"x".repeat(65_536)}`;
const CLOSE_1000 = "\x88\x02\x03\xe8";
/** 1000, masked. */
const MASKED_CLOSE = "\x88\x82\x01\x02\x03\x04\x02\xea";

const REQUEST =
  "GET /chat/17 HTTP/1.1\r\nHost: shop:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const ACCEPT = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n";

function handshake(): Conversation {
  return new Conversation(HTTP1).received(REQUEST).sent(ACCEPT);
}

function session(talk: Conversation): SeenExchange {
  const [first, second, ...more] = talk.observed.ended;
  assert.equal(first?.attributes["http.response.status_code"], 101);
  assert.ok(second !== undefined && more.length === 0);
  return second;
}

describe("WebSocket", () => {
  it("gives the handshake a span at once and the session another at its end", () => {
    const talk = handshake();
    assert.equal(talk.observed.ended.length, 1);
    talk
      .received(MASKED_HELLO)
      .sent(HELLO + FRAGMENTED)
      .sent(PING)
      .received(MASKED_PONG);
    talk.sent(BINARY_256).received(MASKED_CLOSE).sent(CLOSE_1000);
    const seen = session(talk);
    assert.equal(seen.name, "WebSocket /chat/{id}");
    assert.equal(seen.role, "server");
    assert.equal(seen.position, REQUEST.length);
    assert.equal(seen.error, undefined);
    assert.deepEqual(seen.attributes, {
      "network.protocol.name": "websocket",
      "url.path": "/chat/17",
      "http.route": "/chat/{id}",
      "server.address": "shop",
      "server.port": 80,
      "websocket.client.messages": 1,
      "websocket.client.frames": 3,
      "websocket.client.bytes": 5,
      "websocket.server.messages": 3,
      "websocket.server.frames": 6,
      "websocket.server.bytes": 5 + 5 + 256,
      "websocket.close.code": 1000,
    });
    assert.deepEqual(talk.observed.losses, []);
    talk.close();
    assert.equal(talk.observed.ended.length, 2);
  });

  it("takes frames that come with the handshake's last bytes", () => {
    const talk = new Conversation(HTTP1).sent(REQUEST).received(ACCEPT + HELLO);
    talk.sent(MASKED_HELLO).close();
    const seen = session(talk);
    assert.equal(seen.role, "client");
    assert.equal(seen.attributes["websocket.server.messages"], 1);
    assert.equal(seen.attributes["websocket.client.messages"], 1);
  });

  it("skips payload that was not captured, and counts whatever the cuts", () => {
    const talk = handshake().sent(BINARY_65536, 300).sent(BINARY_65536.slice(0, 1000), 12);
    talk.lost(SENT, BINARY_65536.length - 1000);
    for (const byte of HELLO) talk.sent(byte);
    talk.close();
    const { attributes } = session(talk);
    assert.equal(attributes["websocket.server.messages"], 3);
    assert.equal(attributes["websocket.server.bytes"], 2 * 65_536 + 5);
  });

  it("says no count of a side whose frames were missed", () => {
    const talk = handshake().sent(HELLO).lost(SENT, 20).sent(HELLO).received(MASKED_HELLO).close();
    const { attributes } = session(talk);
    assert.equal(attributes["websocket.server.messages"], undefined);
    assert.equal(attributes["websocket.client.messages"], 1);
  });

  it("calls it an error when the connection ends without a Close frame, or with a bad code", () => {
    assert.equal(
      session(handshake().sent(HELLO).close(104)).attributes["error.type"],
      "ECONNRESET",
    );
    const bad = session(handshake().sent("\x88\x02\x03\xea").received(MASKED_CLOSE).close());
    assert.equal(bad.attributes["websocket.close.code"], 1000);
    const worse = session(handshake().sent("\x88\x02\x03\xea").close());
    assert.equal(worse.attributes["error.type"], "1002");
    assert.equal(worse.error, "");
  });

  it("gives no session without a frame, and none for what is no frame", () => {
    const talk = handshake().close();
    assert.equal(talk.observed.ended.length, 1);
    const other = handshake().lost(RECEIVED, 5).sent("\x7fnot a frame").close();
    assert.equal(other.observed.ended.length, 1);
  });
});
