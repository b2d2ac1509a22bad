// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation } from "../testing.ts";
import { AMQP10 } from "./protocol.ts";

/** Frames by hand from OASIS AMQP 1.0, parts 1 (types), 2 (transport) and 3 (messaging). */
const i8 = (value: number): string => String.fromCharCode(value & 255);
const i32 = (value: number): string =>
  i8(value >> 24) + i8(value >> 16) + i8(value >> 8) + i8(value);
const uint = (value: number): string => (value === 0 ? "\x43" : `\x52${i8(value)}`);
const str = (text: string): string => `\xa1${i8(text.length)}${text}`;
const sym = (text: string): string => `\xa3${i8(text.length)}${text}`;
const NULL = "\x40";
const TRUE = "\x41";
const FALSE = "\x42";

function list(...fields: readonly string[]): string {
  const body = fields.join("");
  return `\xc0${i8(body.length + 1)}${i8(fields.length)}${body}`;
}
const described = (code: number, value: string): string => `\0\x53${i8(code)}${value}`;
function frame(channel: number, performative: string, payload = ""): string {
  const body = performative + payload;
  return `${i32(8 + body.length)}\x02\0\0${i8(channel)}${body}`;
}
const attach = (handle: number, isReceiver: boolean, source: string, target: string): string =>
  described(
    0x12,
    list(
      ...[str("link"), uint(handle), isReceiver ? TRUE : FALSE, NULL, NULL],
      ...[described(0x28, list(str(source))), described(0x29, list(str(target)))],
    ),
  );
const transfer = (handle: number, delivery: number, isSettled: boolean, hasMore = false): string =>
  described(
    0x14,
    list(
      ...[uint(handle), uint(delivery), `\xa0\x01t`, uint(0)],
      ...[isSettled ? TRUE : FALSE, hasMore ? TRUE : FALSE],
    ),
  );
const disposition = (first: number, last: number, state: string): string =>
  described(0x15, list(TRUE, uint(first), uint(last), TRUE, state));
const message = (id: string, body: string): string =>
  described(0x73, list(str(id), NULL, NULL, NULL, NULL, str("c-1"))) +
  described(0x75, `\xa0${i8(body.length)}${body}`);
const ACCEPTED = described(0x24, "\x45");
const HEADER = "AMQP\0\x01\0\0";

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);

describe("AMQP 1.0", () => {
  it("ends a delivery with its disposition, over the session's channel of either end", () => {
    const talk = new Conversation(AMQP10).sent(HEADER).received(HEADER);
    talk.sent(frame(0, described(0x11, list(NULL, uint(0)))));
    talk.received(frame(5, described(0x11, list(uint(0), uint(0)))));
    talk.sent(frame(0, attach(1, false, "", "orders")));
    talk.sent(frame(0, transfer(1, 0, false), message("m-0", "hello")));
    talk.sent(frame(0, transfer(1, 1, false), message("m-1", "again!")));
    talk.received(frame(5, disposition(0, 1, ACCEPTED)));
    assert.deepEqual(lines(talk), ["send orders bytes=5 id=m-0", "send orders bytes=6 id=m-1"]);
    assert.equal(talk.observed.ended[0]?.attributes["messaging.message.conversation_id"], "c-1");
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [6000, 6000, 8000, 8000]);
  });

  it("names what a receiver does not accept", () => {
    const talk = new Conversation(AMQP10)
      .received(HEADER)
      .received(frame(0, attach(0, false, "", "q")));
    for (const number of [0, 1, 2]) talk.received(frame(0, transfer(0, number, false)));
    const error = described(0x1d, list(sym("amqp:decode-error"), str("bad")));
    talk.sent(frame(0, disposition(0, 0, described(0x25, list(error)))));
    talk.sent(frame(0, disposition(1, 1, described(0x26, "\x45"))));
    talk.sent(frame(0, disposition(2, 2, described(0x27, list(TRUE)))));
    assert.deepEqual(lines(talk), [
      "send q error=amqp:decode-error",
      "send q error=released",
      "send q error=modified",
    ]);
  });

  it("joins the frames of one delivery, and waits for nothing when it is settled", () => {
    const talk = new Conversation(AMQP10)
      .sent(HEADER)
      .received(frame(0, attach(3, false, "q", "")));
    talk.received(frame(0, transfer(3, 9, true, true), message("m", "one")));
    talk.received(frame(0, described(0x14, list(uint(3), NULL, NULL, NULL, TRUE, FALSE)), "rest"));
    assert.deepEqual(lines(talk), ["deliver q bytes=3 id=m"]);
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [3000, 4000, 0, 4000]);
  });

  it("pairs opening and authentication, and tells why something was closed", () => {
    const sasl = (performative: string): string =>
      frame(0, performative).replace("\x02\0", "\x02\x01");
    const talk = new Conversation(AMQP10).sent("AMQP\x03\x01\0\0").received("AMQP\x03\x01\0\0");
    talk.sent(sasl(described(0x41, list(sym("PLAIN"), `\xa0\x03abc`))));
    talk.received(sasl(described(0x44, list("\x50\x01"))));
    talk
      .sent(frame(0, described(0x10, list(str("app-1")))))
      .received(frame(0, described(0x10, list(str("b")))));
    talk.received(frame(0, described(0x18, list(described(0x1d, list(sym("amqp:not-allowed")))))));
    assert.deepEqual(lines(talk), ["sasl.init error=auth", "open", "close error=amqp:not-allowed"]);
    assert.equal(talk.observed.ended[1]?.attributes["messaging.client.id"], "app-1");
  });

  it("is recognised by its header and its performatives, and not taken for AMQP 0-9-1", () => {
    const detect = (text: string): string => {
      const bytes = Buffer.from(text, "latin1");
      return AMQP10.detect(bytes, 0, bytes.length);
    };
    for (const text of [HEADER, "AMQP\x03\x01\0\0", frame(0, disposition(0, 0, ACCEPTED))]) {
      assert.equal(detect(text), "yes");
    }
    assert.equal(detect("\0\0\0\x08\x02\0\0\0"), "weak");
    assert.equal(detect("AMQP\0\0\x09\x01"), "no");
    assert.equal(detect("\0\0\0\x20\0\x12\0\x03aaaabbbb"), "no");
  });
});
