// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { messagingLine } from "../messaging-testing.ts";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { KAFKA } from "./protocol.ts";

/** Bodies are written by hand from https://kafka.apache.org/protocol.html. */
const i8 = (value: number): string => String.fromCharCode(value & 255);
const i16 = (value: number): string => i8(value >> 8) + i8(value);
const i32 = (value: number): string => i16(value >> 16) + i16(value);
const i64 = (value: number): string => i32(Math.floor(value / 2 ** 32)) + i32(value | 0);
const str = (text: string): string => i16(text.length) + text;
const compact = (text: string): string => i8(text.length + 1) + text;
const UUID = "0123456789abcdef";

function frame(text: string): string {
  return i32(text.length) + text;
}

function request(
  api: number,
  version: number,
  id: number,
  body: string,
  isFlexible = false,
): string {
  return frame(i16(api) + i16(version) + i32(id) + str("tester") + (isFlexible ? "\0" : "") + body);
}

/** A record batch of `count` records, `size` bytes in all. */
function batch(offset: number, count: number, size = 70): string {
  const head = `${i64(offset)}${i32(size - 12)}${i32(0)}\x02${i32(0)}${i16(0)}${i32(count - 1)}`;
  const rest = `${i64(0)}${i64(0)}${i64(-1)}${i16(-1)}${i32(-1)}${i32(count)}`;
  return (head + rest).padEnd(size, "x");
}

function produce(version: number, id: number, records: string, acks = -1): string {
  if (version >= 9) {
    const partition = `${i32(2)}${i8((records.length + 1) | 0x80)}${i8((records.length + 1) >> 7)}${records}\0`;
    const topic = `${version >= 13 ? UUID : compact("orders")}\x02${partition}\0`;
    return request(0, version, id, `\0${i16(acks)}${i32(1000)}\x02${topic}\0`, true);
  }
  const topic = str("orders") + i32(1) + i32(2) + i32(records.length) + records;
  const transactional = version >= 3 ? i16(-1) : "";
  return request(0, version, id, transactional + i16(acks) + i32(1000) + i32(1) + topic);
}

const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(messagingLine);

describe("Kafka", () => {
  it("reads Produce in old and in flexible versions", () => {
    for (const version of [2, 7, 9, 12]) {
      const talk = new Conversation(KAFKA).sent(produce(version, 5, batch(0, 4)));
      const result = i32(2) + i16(0) + i64(4711) + i64(-1) + i64(0);
      talk.received(
        version >= 9
          ? frame(`${i32(5)}\0\x02${compact("orders")}\x02${result}\x01\0\0\0${i32(0)}\0`)
          : frame(
              i32(5) +
                i32(1) +
                str("orders") +
                i32(1) +
                result.slice(0, version >= 5 ? 30 : 22) +
                i32(0),
            ),
      );
      assert.deepEqual(lines(talk), ["send orders partition=2 offset=4711 count=4"], `${version}`);
      assert.equal(talk.observed.ended[0]?.attributes["messaging.operation.type"], "send");
      assert.equal(talk.observed.ended[0]?.attributes["messaging.client.id"], "tester");
    }
  });

  it("counts the messages of several batches, and none when one was not captured", () => {
    const records = batch(0, 2) + batch(2, 3) + batch(5, 1);
    const text = produce(9, 5, records);
    const whole = new Conversation(KAFKA)
      .sent(text)
      .received(frame(i32(5)))
      .close();
    assert.match(lines(whole)[0] ?? "", /count=6/);
    const part = new Conversation(KAFKA)
      .sent(text, 150)
      .received(frame(i32(5)))
      .close();
    assert.deepEqual(lines(part), ["send orders partition=2"]);
  });

  it("ends a message that nobody acknowledges at once, without an error", () => {
    const talk = new Conversation(KAFKA).sent(produce(9, 5, batch(0, 1), 0)).close(104);
    assert.deepEqual(lines(talk), ["send orders partition=2 count=1"]);
    assert.equal(talk.observed.ended[0]?.timesNs[2], 0);
  });

  it("names an error as the protocol does", () => {
    const talk = new Conversation(KAFKA).received(produce(2, 1, batch(0, 1)));
    talk.sent(
      frame(i32(1) + i32(1) + str("orders") + i32(1) + i32(2) + i16(10) + i64(-1) + i64(-1)),
    );
    assert.deepEqual(lines(talk), ["send orders partition=2 count=1 error=MESSAGE_TOO_LARGE"]);
    assert.equal(talk.observed.ended[0]?.error, "");
  });

  it("remembers the names of topic ids, for all connections of a service", () => {
    const options = { ...TEST_OPTIONS };
    const metadata = new Conversation(KAFKA, options).sent(request(3, 12, 1, "\x01\0\0\0", true));
    const partition = `${i16(0)}${i32(0)}${i32(1)}${i32(0)}\x02${i32(1)}\x02${i32(1)}\x01\0`;
    const topic = `${i16(0)}${compact("orders")}${UUID}\0\x02${partition}${i32(0)}\0`;
    const broker = `${i32(1)}${compact("host")}${i32(9092)}\0\0`;
    metadata.received(frame(`${i32(1)}\0${i32(0)}\x02${broker}\0${i32(1)}\x02${topic}\0`));
    const talk = new Conversation(KAFKA, options).sent(produce(13, 5, batch(0, 1)));
    talk.close();
    assert.deepEqual(lines(talk), ["send orders partition=2 count=1 error=connection_closed"]);
  });

  it("reads what a Fetch asks for and gets, with the group that the client is in", () => {
    const options = { ...TEST_OPTIONS };
    const join = request(
      11,
      2,
      1,
      str("billing") + i32(1) + i32(1) + str("") + str("consumer") + i32(0),
    );
    new Conversation(KAFKA, options).sent(join).received(frame(i32(1) + i32(0) + i16(79)));
    const talk = new Conversation(KAFKA, options);
    const asked = `${str("orders")}${i32(1)}${i32(3)}${i64(100)}${i64(-1)}${i32(65536)}`;
    const head = i32(-1) + i32(500) + i32(1) + i32(1 << 20) + i8(0);
    talk.sent(request(1, 5, 7, head + i32(1) + asked));
    const records = batch(100, 3);
    const got = `${i32(3)}${i16(0)}${i64(103)}${i64(103)}${i64(0)}${i32(0)}${i32(records.length)}${records}`;
    talk.received(frame(i32(7) + i32(0) + i32(1) + str("orders") + i32(1) + got));
    assert.deepEqual(lines(talk), ["poll orders partition=3 offset=100 group=billing count=3"]);
    assert.equal(talk.observed.ended[0]?.attributes["messaging.operation.type"], "receive");
  });

  it("gives up requests whose responses must have been lost", () => {
    const talk = new Conversation(KAFKA)
      .sent(request(12, 0, 1, str("g")))
      .sent(request(12, 0, 2, str("g")));
    talk.received(frame(i32(2) + i16(27)));
    assert.deepEqual(lines(talk), ["Heartbeat group=g error=REBALANCE_IN_PROGRESS"]);
    assert.deepEqual(talk.observed.abandoned, ["gap"]);
  });

  it("passes the bare tokens of an old SASL handshake", () => {
    const talk = new Conversation(KAFKA).sent(request(17, 0, 1, str("GSSAPI")));
    talk
      .received(frame(i32(1) + i16(0) + i32(0)))
      .sent(frame("\x60\x82 a token"))
      .received(frame("\x60\x82 back"));
    talk.sent(request(18, 0, 2, "")).received(frame(i32(2) + i16(35) + i32(0)));
    assert.deepEqual(lines(talk), ["SaslHandshake", "ApiVersions error=UNSUPPORTED_VERSION"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("is recognised by a request of either kind, not by other protocols' bytes", () => {
    const detect = (text: string): string => {
      const bytes = Buffer.from(text, "latin1");
      return KAFKA.detect(bytes, 0, bytes.length);
    };
    assert.equal(detect(request(18, 3, 0, `${compact("java")}${compact("1")}\0`, true)), "yes");
    assert.equal(detect(request(18, 3, 0, "").slice(0, 6)), "more");
    assert.equal(detect("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "no");
    assert.equal(detect("*1\r\n$4\r\nPING\r\n"), "no");
    assert.equal(detect("\0\0\0\x08\x04\xd2\x16\x2f"), "no");
    assert.equal(detect("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03aaaaaaaaaaaa"), "no");
  });
});
