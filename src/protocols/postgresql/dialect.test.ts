// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { POSTGRESQL } from "./protocol.ts";

function int32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function message(type: string, body: string): string {
  return type + int32(body.length + 4) + body;
}

const READY = message("Z", "I");
const SYNC = message("S", "");

function connected(): Conversation {
  const start = `${int32(21)}${int32(196608)}user\0tester\0\0`;
  return new Conversation(POSTGRESQL).sent(start).received(message("R", int32(0)) + READY);
}

function query(text: string): string {
  return message("Q", `${text}\0`);
}

function extended(text: string): string {
  const bind = message("B", `\0\0${"\0".repeat(6)}`);
  return message("P", `\0${text}\0\0\0`) + bind + message("E", `\0${int32(0)}`);
}

function linesOf(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(({ attributes }) => {
    const error = attributes["error.type"];
    const text = String(attributes["db.query.text"]);
    return error === undefined ? text : `${text} !${String(error)}`;
  });
}

describe("PostgreSQL", () => {
  it("ends what the server skipped after an error in a pipeline", () => {
    const talk = connected();
    talk.sent(extended("SELECT a") + extended("SELECT b") + extended("SELECT c") + SYNC);
    const error = message("E", "SERROR\0VERROR\0C42703\0Mno\0\0");
    talk.received(message("1", "") + message("2", "") + message("C", "SELECT 1\0") + error + READY);
    talk
      .sent(query("SELECT d"))
      .received(message("C", "SELECT 1\0") + READY)
      .close();
    const expected = ["SELECT a", "SELECT b !42703", "SELECT c !pipeline_aborted", "SELECT d"];
    assert.deepEqual(linesOf(talk), expected);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("counts one Sync for a COPY of the extended protocol", () => {
    const talk = connected().sent(extended("COPY t FROM STDIN") + SYNC);
    talk.received(message("1", "") + message("2", "") + message("G", "\0\0\0"));
    talk.sent(message("d", "1\n") + message("c", "") + SYNC);
    talk.received(message("C", "COPY 1\0") + READY);
    talk
      .sent(query("SELECT a"))
      .received(message("C", "SELECT 1\0") + READY)
      .close();
    assert.deepEqual(linesOf(talk), ["COPY t FROM STDIN", "SELECT a"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads on when TLS is refused and not when it is granted", () => {
    const ask = `${int32(8)}${int32(80877103)}`;
    const start = `${int32(21)}${int32(196608)}user\0tester\0\0`;
    const refused = new Conversation(POSTGRESQL).sent(ask).received("N").sent(start);
    refused
      .received(READY)
      .sent(query("SELECT a"))
      .received(message("I", "") + READY);
    assert.deepEqual(linesOf(refused), ["SELECT a"]);
    const granted = new Conversation(POSTGRESQL).sent(ask).received("S").sent("\x16\x03\x01");
    assert.deepEqual(granted.observed.losses, ["after_upgrade", "after_upgrade"]);
  });

  it("believes an older connection from the first statement after an answer on", () => {
    const done = message("C", "SELECT 1\0") + READY;
    const talk = new Conversation(POSTGRESQL).lost(0, 100).lost(1, 100);
    talk.sent(query("SELECT a")).received(done).sent(query("SELECT b")).received(done).close();
    assert.deepEqual(linesOf(talk), ["SELECT b"]);
    assert.equal(talk.observed.ended[0]?.attributes["db.namespace"], undefined);
  });

  it("gives no span for a statement that is only prepared, unless that fails", () => {
    const prepare = message("P", "s1\0SELECT a FROM b\0\0\0") + SYNC;
    const talk = connected()
      .sent(prepare)
      .received(message("1", "") + READY);
    assert.deepEqual(talk.observed.abandoned, ["no_operation"]);
    const bind = message("B", `\0s1\0${"\0".repeat(6)}`);
    talk.sent(bind + message("E", `\0${int32(0)}`) + SYNC);
    talk.received(message("2", "") + message("C", "SELECT 0\0") + READY);
    talk
      .sent(prepare)
      .received(message("E", "SERROR\0C42P05\0\0") + READY)
      .close();
    assert.deepEqual(linesOf(talk), ["SELECT a FROM b", "SELECT a FROM b !42P05"]);
  });

  it("gives no span for a cancel request, and the server's farewell answers nothing", () => {
    const cancel = `${int32(16)}${int32(80877102)}${int32(1)}${int32(2)}`;
    const talk = new Conversation(POSTGRESQL).sent(cancel).close();
    assert.deepEqual([talk.names, talk.observed.losses], [[], []]);
    const idle = connected().received(message("E", "SFATAL\0C57P01\0\0")).close();
    assert.deepEqual(idle.names, []);
    assert.deepEqual(idle.observed.losses, ["response_without_request"]);
  });

  it("keeps literals only if raw statements are wanted", () => {
    const texts = (rawStatements: boolean): readonly unknown[] => {
      const talk = new Conversation(POSTGRESQL, { ...TEST_OPTIONS, rawStatements });
      talk.sent(`${int32(21)}${int32(196608)}user\0tester\0\0`);
      talk.received(message("R", int32(0)) + READY).sent(query("SELECT 'x'"));
      talk.received(message("C", "SELECT 1\0") + READY).close();
      return talk.observed.ended.map(({ attributes }) => attributes["db.query.text"]);
    };
    assert.deepEqual(texts(false), ["SELECT ?"]);
    assert.deepEqual(texts(true), ["SELECT 'x'"]);
  });

  it("ends a result that is not captured in whole with its last bytes, or when the client goes on", () => {
    const row = message("D", `\0\x01${int32(90)}${"r".repeat(90)}`).repeat(50);
    const end = message("C", "SELECT 50\0") + READY;
    const talk = connected()
      .sent(query("SELECT a"))
      .received(row + end, 1000);
    talk
      .sent(query("SELECT b"))
      .received(row + end, 1000)
      .received(row.slice(0, 777), 0);
    talk.sent(extended("SELECT c") + SYNC);
    talk.received(message("1", "") + message("2", "") + row, 1000).received(end, 0);
    talk.sent(query("SELECT d")).received(row, 300);
    talk.sent(query("SELECT e")).received(end).close();
    assert.deepEqual(linesOf(talk).slice(0, 2), ["SELECT a", "SELECT b"]);
    assert.deepEqual(linesOf(talk).slice(-2), ["SELECT d", "SELECT e"]);
    assert.equal(talk.observed.ended[0]?.timesNs[3], 4000);
  });
});
