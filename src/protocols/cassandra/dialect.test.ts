// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { Conversation } from "../testing.ts";
import { detect } from "./envelope.ts";
import { CASSANDRA } from "./protocol.ts";

/** By https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec and v4's. */

function int32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function envelope(version: number, stream: number, opcode: number, body: string): string {
  const head = String.fromCharCode(version, 0, stream >> 8, stream & 255, opcode);
  return head + int32(body.length) + body;
}

function text(value: string): string {
  return int32(value.length) + value;
}

function ask(stream: number, sql: string, version = 4): string {
  return envelope(version, stream, 7, `${text(sql)}\0\x01\0`);
}

const VOID = "\0\0\0\x01";

function answer(stream: number, body: string = VOID, opcode = 8, version = 4): string {
  return envelope(0x80 | version, stream, opcode, body);
}

/** CRC24 as the specification's appendix has it. */
function crc24(bytes: readonly number[]): number {
  let crc = 0x875060;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if ((crc & 0x1000000) !== 0) crc ^= 0x1974f0b;
    }
  }
  return crc & 0xffffff;
}

function segment(payload: string, isSelfContained = true): string {
  const head = payload.length | (isSelfContained ? 0x20000 : 0);
  const bytes = [head & 255, (head >> 8) & 255, head >> 16];
  const crc = crc24(bytes);
  const header = String.fromCharCode(...bytes, crc & 255, (crc >> 8) & 255, crc >> 16);
  const check = crc32(
    Buffer.concat([Buffer.from("fa2d55ca", "hex"), Buffer.from(payload, "latin1")]),
  );
  const trailer = [check & 255, (check >>> 8) & 255, (check >>> 16) & 255, check >>> 24];
  return header + payload + String.fromCharCode(...trailer);
}

function linesOf(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(({ name, attributes }) => {
    const error = attributes["error.type"];
    return error === undefined ? name : `${name} !${String(error)}`;
  });
}

const STARTUP = "\0\x01\0\x0bCQL_VERSION\0\x053.0.0";

describe("Cassandra", () => {
  it("pairs responses by their streams and reads errors, keyspaces and rows", () => {
    const rows = `\0\0\0\x02\0\0\0\x04\0\0\0\x01${int32(2)}`;
    const talk = new Conversation(CASSANDRA).sent(envelope(4, 0, 1, STARTUP));
    talk.received(answer(0, "", 2)).sent(ask(1, "USE shop"));
    talk
      .received(answer(1, "\0\0\0\x03\0\x04shop"))
      .sent(ask(2, "SELECT a FROM t") + ask(3, "SELECT b"));
    talk.received(answer(3, `${int32(0x2200)}\0\x02no`, 0) + answer(2, rows)).close();
    assert.deepEqual(linesOf(talk), ["USE shop", "SELECT !8704", "SELECT t"]);
    assert.equal(talk.observed.ended[1]?.error, "INVALID");
    assert.equal(talk.observed.ended[2]?.attributes["db.response.returned_rows"], 2);
    assert.equal(talk.observed.ended[2]?.attributes["db.namespace"], "shop");
    assert.deepEqual(talk.observed.losses, []);
  });

  it("counts rows behind the definitions of columns of all types", () => {
    const name = (value: string): string => `\0${String.fromCharCode(value.length)}${value}`;
    const types = [
      "\0\x0d",
      "\0\x20\0\x09",
      "\0\x21\0\x0d\0\x22\0\x09",
      `\0\0${name("x.Y")}`,
      "\0\x31\0\x02\0\x09\0\x0d",
    ];
    types.push(`\0\x30${name("k")}${name("u")}\0\x01${name("f")}\0\x09`);
    const columns = types.map((type, index) => name(`c${index}`) + type).join("");
    const rows = `\0\0\0\x02${int32(3)}${int32(types.length)}${text("page")}${name("k")}${name("t")}${columns}${int32(7)}`;
    const talk = new Conversation(CASSANDRA)
      .sent(ask(1, "SELECT * FROM t"))
      .received(answer(1, rows));
    talk.close();
    assert.equal(talk.observed.ended[0]?.attributes["db.response.returned_rows"], 7);
  });

  it("remembers prepared statements by their ids, in batches too", () => {
    const id = "\0\x100123456789abcdef";
    const talk = new Conversation(CASSANDRA).sent(
      envelope(4, 1, 9, text("DELETE FROM t WHERE a = ?")),
    );
    talk.received(answer(1, `\0\0\0\x04${id}`)).sent(envelope(4, 1, 10, `${id}\0\x01\0`));
    talk.received(answer(1));
    const batch = `\0\0\x02\x01${id}\0\x01${text("x")}\0${text("DELETE FROM t WHERE a = 5")}\0\0\0\x01\0`;
    talk
      .sent(envelope(4, 1, 13, batch))
      .received(answer(1))
      .close();
    assert.deepEqual(linesOf(talk), ["DELETE t", "BATCH DELETE t"]);
    assert.equal(talk.observed.ended[1]?.attributes["db.operation.batch.size"], 2);
    assert.equal(talk.observed.ended[1]?.attributes["db.operation.name"], "BATCH DELETE");
    assert.deepEqual(talk.observed.abandoned, ["no_operation"]);
  });

  it("passes over tracing, warnings, payloads and events", () => {
    const talk = new Conversation(CASSANDRA).received(envelope(0x84, 0xffff, 12, "\0\x01x"));
    const payload = envelope(
      4,
      1,
      7,
      `\0\x01\0\x01k${text("v")}${text("SELECT a FROM t")}\0\x01\0`,
    );
    talk.sent(`${payload[0]}\x04${payload.slice(2)}`);
    const failed = answer(1, `${"t".repeat(16)}\0\x01\0\x02ww${int32(0x1100)}\0\x01x`, 0);
    talk.received(`${failed[0]}\x0a${failed.slice(2)}`).close();
    assert.deepEqual(linesOf(talk), ["SELECT t !4352"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("pairs what is compressed without reading it", () => {
    const query = ask(1, "SELECT a FROM t");
    const talk = new Conversation(CASSANDRA).sent(`${query[0]}\x01${query.slice(2)}`);
    const failed = answer(1, "????", 0);
    talk.received(`${failed[0]}\x01${failed.slice(2)}`).close();
    assert.deepEqual(linesOf(talk), ["cassandra !_OTHER"]);
  });

  it("reads the segments of version 5, several envelopes in one and one in several", () => {
    const talk = new Conversation(CASSANDRA).sent(envelope(5, 0, 1, STARTUP));
    talk
      .received(answer(0, "", 2, 5))
      .sent(segment(ask(1, "SELECT a FROM t", 5) + ask(2, "SELECT b FROM u", 5)));
    talk.received(segment(answer(2, VOID, 8, 5) + answer(1, VOID, 8, 5)));
    const long = ask(3, `SELECT '${"x".repeat(3000)}' FROM v`, 5);
    const parts = [long.slice(0, 1000), long.slice(1000, 2000), long.slice(2000)];
    talk
      .sent(parts.map((part) => segment(part, false)).join(""))
      .received(segment(answer(3, VOID, 8, 5)));
    talk.close();
    assert.deepEqual(linesOf(talk), ["SELECT u", "SELECT t", "SELECT"]);
    const positions = talk.observed.ended.map(({ position }) => position);
    const first = envelope(5, 0, 1, STARTUP).length + 6;
    assert.deepEqual(positions.slice(0, 2), [first + ask(1, "SELECT a FROM t", 5).length, first]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("is over when version 5 is compressed", () => {
    const startup = "\0\x02\0\x0bCQL_VERSION\0\x053.0.0\0\x0bCOMPRESSION\0\x03lz4";
    const talk = new Conversation(CASSANDRA)
      .sent(envelope(5, 0, 1, startup))
      .received("x")
      .close();
    assert.deepEqual(talk.observed.losses, ["after_upgrade", "after_upgrade"]);
  });

  it("believes an older connection of version 5 after its first response", () => {
    const talk = new Conversation(CASSANDRA).lost(0, 100).lost(1, 100);
    for (const table of ["t", "u"]) {
      talk.sent(segment(ask(1, `SELECT a FROM ${table}`, 5)));
      talk.received(segment(answer(1, VOID, 8, 5)));
    }
    talk.close();
    assert.deepEqual(linesOf(talk), ["SELECT u"]);
  });
});

describe("detect", () => {
  const told = (value: string): string => {
    const bytes = Buffer.from(value, "latin1");
    return detect(bytes, 0, bytes.length);
  };

  it("is sure of envelopes whose body fits, and of segments whose check does", () => {
    const sure = [
      ask(1, "SELECT a"),
      answer(1),
      envelope(4, 0, 1, STARTUP),
      segment(ask(1, "a", 5)),
    ];
    for (const value of sure) assert.equal(told(value), "yes");
    assert.equal(told("\x04\0\0\0"), "more");
    for (const value of ["GET / HTTP/1.1\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "\x04\x01abcdefghijk"]) {
      assert.notEqual(told(value), "yes", value);
    }
  });
});
