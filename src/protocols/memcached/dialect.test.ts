// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { detect } from "./detect.ts";
import { MEMCACHED } from "./protocol.ts";

/** By https://github.com/memcached/memcached/blob/master/doc/protocol.txt */

function linesOf(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(({ attributes }) => {
    const error = attributes["error.type"];
    const text = String(attributes["db.query.text"]);
    return error === undefined ? text : `${text} !${String(error)}`;
  });
}

function binary(magic: number, opcode: number, opaque: number, key = "", status = 0): string {
  const header = Buffer.alloc(24);
  header.set([magic, opcode, 0, key.length]);
  header.writeUInt16BE(status, 6);
  header.writeUInt32BE(key.length, 8);
  header.writeUInt32BE(opaque, 12);
  return header.toString("latin1") + key;
}

describe("Memcached", () => {
  it("leaves keys and values out and tells errors from misses", () => {
    const talk = new Conversation(MEMCACHED).sent("set user:1 0 60 5\r\nGET k\r\n");
    talk.received("STORED\r\n").sent("get user:1 user:2\r\n");
    talk.received("VALUE user:1 0 5\r\nEND\r\n\r\nEND\r\n").sent("delete user:3\r\n");
    talk.received("NOT_FOUND\r\n").sent("incr user:1 5\r\n");
    talk.received("CLIENT_ERROR cannot increment or decrement non-numeric value\r\n").close();
    assert.deepEqual(linesOf(talk), ["set ?", "get ? ?", "delete ?", "incr ? !CLIENT_ERROR"]);
    assert.deepEqual(talk.observed.ended[0]?.attributes, {
      "db.system.name": "memcached",
      "db.operation.name": "set",
      "db.query.text": "set ?",
    });
    assert.deepEqual(talk.observed.losses, []);
  });

  it("ends what has no reply when it is sent", () => {
    const talk = new Conversation(MEMCACHED).sent("set k 0 0 1 noreply\r\nx\r\nget k\r\n");
    talk.received("VALUE k 0 1\r\nx\r\nEND\r\n").sent("quit\r\n").close();
    assert.deepEqual(linesOf(talk), ["set ?", "get ?"]);
    assert.deepEqual(talk.observed.ended[0]?.timesNs, [1000, 1000, 0, 1000]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("knows that quiet meta commands are over when mn is answered", () => {
    const talk = new Conversation(MEMCACHED).sent(
      "mg a v q\r\nmg b v q\r\nms c 1 q\r\nx\r\nmn\r\n",
    );
    talk.received("VA 2\r\nhi\r\nNS\r\nMN\r\n").close();
    assert.deepEqual(linesOf(talk), ["mg ?", "mg ?", "ms ?", "mn"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("finds by its opaque which quiet meta command is answered", () => {
    const talk = new Conversation(MEMCACHED).sent("mg a v q O1\r\nmd b q O2\r\nmg c v O3\r\n");
    talk.received("NF O2\r\nEN O3\r\n").close();
    assert.equal(talk.observed.ended.length, 3);
    const starts = talk.observed.ended.map(({ timesNs }) => timesNs[2]);
    assert.deepEqual(starts, [0, 2000, 2000]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("pairs binary commands by opaque, the quiet ones that nothing answers too", () => {
    const ask = [binary(0x80, 9, 1, "a"), binary(0x80, 9, 2, "b"), binary(0x80, 10, 3)].join("");
    const talk = new Conversation(MEMCACHED).sent(ask);
    talk.received(binary(0x81, 9, 2, "") + binary(0x81, 10, 3));
    talk
      .sent(binary(0x80, 1, 4, "k"))
      .received(binary(0x81, 1, 4, "", 0x82))
      .close();
    assert.deepEqual(linesOf(talk), ["getq ?", "getq ?", "noop", "set ? !130"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("never pairs a binary response with a command of another opaque", () => {
    const talk = new Conversation(MEMCACHED).sent(binary(0x80, 0, 1, "a"));
    talk.received(binary(0x81, 0, 2)).close();
    assert.deepEqual(linesOf(talk), []);
    assert.deepEqual(talk.observed.abandoned, ["malformed"]);
  });

  it("keeps keys only if raw statements are wanted", () => {
    const talk = new Conversation(MEMCACHED, { ...TEST_OPTIONS, rawStatements: true });
    talk.sent("set k 0 60 1\r\nx\r\n").received("STORED\r\n").close();
    assert.deepEqual(linesOf(talk), ["set k 0 60 1"]);
  });

  it("skips a value of which the beginning is captured", () => {
    const value = "x".repeat(5000);
    const talk = new Conversation(MEMCACHED).sent("get a\r\n");
    talk.received(`VALUE a 0 5000\r\n${value.slice(0, 4000)}`, 100);
    talk
      .received(`${value.slice(4000)}\r\nEND\r\n`)
      .sent("version\r\n")
      .received("VERSION 1\r\n");
    talk.sent("get a b\r\n").received(`VALUE a 0 5000\r\n${value.slice(0, 4000)}`, 100);
    talk.received(`${value.slice(4000)}\r\nVALUE b 0 1\r\nx\r\nEND\r\n`, 100);
    talk.sent("get a\r\n").received("END\r\n").close();
    assert.deepEqual(linesOf(talk), ["get ?", "version", "get ? ?", "get ?"]);
    assert.deepEqual(talk.observed.losses, []);
  });
});

describe("detect", () => {
  const told = (text: string): string => {
    const bytes = Buffer.from(text, "latin1");
    return detect(bytes, 0, bytes.length);
  };

  it("is sure of what only memcached says", () => {
    for (const text of [
      "set k 0 0 1\r\nx\r\n",
      "VALUE k 0 1\r\nx",
      "ms k 2 T0\r\n",
      "STORED\r\n",
    ]) {
      assert.equal(told(text), "yes", text);
    }
    assert.equal(told(binary(0x80, 1, 7, "k")), "yes");
    // Redis has the same inline command.
    for (const text of ["get k\r\n", "END\r\n", "stats\r\n"]) assert.equal(told(text), "weak");
    assert.equal(told("ge"), "more");
    for (const text of [
      "GET / HTTP/1.1\r\n",
      "*1\r\n",
      "set k v\r\n",
      "SET k 0 0 1\r\n",
      "Q\0\0\0",
    ]) {
      assert.notEqual(told(text), "yes", text);
    }
  });
});
