// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callLine, fromHex, u32 } from "../calls-testing.ts";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { frameBytes } from "./message.ts";
import { THRIFT } from "./protocol.ts";

/** Messages by hand from thrift-binary-protocol.md and thrift-compact-protocol.md. */
const strict = (type: number, name: string, id: number, body: string): string =>
  `\x80\x01\0${String.fromCharCode(type)}${u32(name.length)}${name}${u32(id)}${body}`;
const framed = (text: string): string => u32(text.length) + text;
const lines = (talk: Conversation): readonly string[] => talk.observed.ended.map(callLine);
const call = (name: string, rest = ""): string =>
  `${name}${rest} rpc.method=${name} rpc.system.name=apache_thrift`;

describe("Thrift", () => {
  it("pairs replies with calls by their sequence id, in any order", () => {
    const talk = new Conversation(THRIFT);
    talk.sent(strict(1, "first", 1, "\0")).sent(strict(1, "second", 2, "\0"));
    talk
      .received(strict(2, "second", 2, "\0"))
      .received(strict(2, "first", 1, "\x08\0\0\0\0\0\x07\0"));
    assert.deepEqual(lines(talk), [call("second"), call("first")]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads the compact encoding: a void result, a declared exception, one of the library", () => {
    const talk = new Conversation(THRIFT);
    talk.sent(`${fromHex("82 21 01 04")}ping\0`).received(`${fromHex("82 41 01 04")}ping\0`);
    talk
      .sent(`${fromHex("82 21 02 03")}buy\0`)
      .received(`${fromHex("82 41 02 03")}buy${fromHex("1c 18 01 78 00 00")}`);
    talk
      .sent(`${fromHex("82 21 03 03")}get\0`)
      .received(`${fromHex("82 61 03 03")}get${fromHex("18 02 6e 6f 15 0c 00")}`);
    talk.sent(`${fromHex("82 81 04 03")}say\0`);
    assert.deepEqual(lines(talk), [
      call("ping"),
      "buy error.type=exception_1 rpc.method=buy rpc.system.name=apache_thrift",
      "get error.type=INTERNAL_ERROR rpc.method=get rpc.system.name=apache_thrift",
      call("say"),
    ]);
  });

  it("passes a frame of which only the beginning was captured", () => {
    const talk = new Conversation(THRIFT);
    const large = framed(strict(1, "upload", 1, `\x0b\0\x01${u32(9000)}${"x".repeat(9000)}\0`));
    talk.sent(large, 100).received(framed(strict(2, "upload", 1, "\0")));
    talk.sent(framed(strict(1, "next", 2, "\0"))).received(framed(strict(2, "next", 2, "\0")));
    assert.deepEqual(lines(talk), [call("upload"), call("next")]);
  });

  it("finds its place again behind a message without a length that is too long to follow", () => {
    const talk = new Conversation(THRIFT, { ...TEST_OPTIONS, headBytesMax: 1024 });
    talk.sent(strict(1, "upload", 1, `\x0b\0\x01${u32(9000)}${"x".repeat(9000)}\0`), 1024);
    talk.received(strict(2, "upload", 1, "\0"));
    talk.sent(strict(1, "next", 2, "\0")).received(strict(2, "next", 2, "\0"));
    assert.deepEqual(lines(talk), [call("next")]);
    assert.ok(talk.observed.losses.length > 0);
  });

  it("does not believe a reply that names another method", () => {
    const talk = new Conversation(THRIFT).sent(strict(1, "ask", 0, "\0"));
    talk.received(strict(2, "other", 0, "\0")).close();
    assert.deepEqual(lines(talk), [
      "ask error.type=connection_closed rpc.method=ask rpc.system.name=apache_thrift",
    ]);
  });

  it("does not follow a connection whose calls are sent at once with one id", () => {
    const talk = new Conversation(THRIFT);
    talk.sent(strict(1, "get", 0, "\0")).sent(strict(1, "get", 0, "\0"));
    talk
      .received(strict(2, "get", 0, "\0"))
      .received(strict(2, "get", 0, "\0"))
      .close();
    assert.deepEqual(talk.names, []);
    assert.ok(talk.observed.losses.includes("after_upgrade"));
  });

  it("takes hostile structures for no message, in bounded depth and linear time", () => {
    const length = (text: string): number => {
      const bytes = Buffer.from(text, "latin1");
      return frameBytes(bytes, 0, bytes.length);
    };
    const head = strict(1, "deep", 1, "");
    assert.equal(length(head + "\x0c\0\x01".repeat(2000)), -1);
    assert.equal(length(`${head}\x0f\0\x01\x0b${u32(0xffffffff)}`), -1);
    assert.equal(length(`${head}\x0f\0\x01\x0b${u32(0x7fffffff)}`), 0);
    assert.equal(
      length(`${head}\x0f\0\x01\x0f${u32(0x7fffffff)}${`\x0f${u32(0x7fffffff)}`.repeat(3)}`),
      0,
    );
    assert.equal(length(`${head}\x7f\0\x01`), -1);
    assert.equal(
      length(`${head}\x0d\0\x01\x08\x02${u32(2)}${"\0\0\0\x01\x01".repeat(2)}\0`),
      head.length + 20,
    );
  });

  it("is recognised with and without a length, and other bytes are not", () => {
    const detect = (text: string): string =>
      THRIFT.detect(Buffer.from(text, "latin1"), 0, text.length);
    assert.equal(detect(strict(1, "ping", 0, "\0")), "yes");
    assert.equal(detect(framed(strict(1, "ping", 0, "\0"))), "yes");
    assert.equal(detect(`${u32(4)}ping\x01${u32(0)}\0`), "weak");
    assert.equal(detect("GET / HTTP/1.1\r\n\r\n"), "no");
    assert.equal(detect("\x80\x02\0\x01\0\0\0\x04ping\0\0\0\0"), "no");
    assert.equal(detect("\x80\x01"), "more");
  });
});
