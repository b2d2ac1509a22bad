// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { REDIS } from "./protocol.ts";

const PING = "*1\r\n$4\r\nPING\r\n";
const PONG = "+PONG\r\n";

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
}

describe("Redis", () => {
  it("believes an older connection from the first command after a reply on", () => {
    const talk = new Conversation(REDIS).lost(0, 5).lost(1, 5);
    talk.sent(PING).received(PONG).sent(PING).received(PONG).close();
    assert.deepEqual(talk.names, ["PING"]);
    assert.equal(talk.observed.ended[0]?.attributes["db.namespace"], undefined);
    assert.deepEqual(talk.observed.losses, ["mid_stream", "mid_stream"]);
  });

  it("keeps a reply that is reported before its command", () => {
    const talk = new Conversation(REDIS).received(command("GET", "a")).sent("$1\r\nb\r\n");
    talk
      .sent("+OK\r\n")
      .received(command("SET", "a", "b"))
      .close();
    assert.deepEqual(talk.names, ["GET", "SET"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("skips values of which only the beginning was captured", () => {
    const value = "x".repeat(5000);
    const talk = new Conversation(REDIS).sent(command("SET", "a", value), 100).received("+OK\r\n");
    talk.sent(command("GET", "a")).received(`$5000\r\n${value}\r\n`, 20).sent(PING).received(PONG);
    assert.deepEqual(talk.names, ["SET", "GET", "PING"]);
  });

  it("follows as many commands as the limit allows and finds its place again", () => {
    const talk = new Conversation(REDIS, { ...TEST_OPTIONS, pipelinedMax: 4 });
    talk.sent(PING.repeat(10)).received(PONG.repeat(10)).sent(PING).received(PONG);
    assert.equal(talk.names.length, 5);
    assert.deepEqual(talk.observed.losses, ["pipeline_limit", "response_without_request"]);
  });

  it("pairs no message of a subscription, in RESP2 or RESP3", () => {
    const message = "3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    const confirmation = "3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    for (const type of ["*", ">"]) {
      const talk = new Conversation(REDIS).sent(command("SUBSCRIBE", "c"));
      talk.received(type + confirmation + type + message).sent(PING);
      talk.received(`${type}${message}*2\r\n$4\r\npong\r\n$0\r\n\r\n`).received(type + message);
      assert.deepEqual(talk.names, ["SUBSCRIBE", "PING"]);
      assert.deepEqual(talk.observed.losses, []);
    }
  });

  it("follows SELECT, and goes back when it fails", () => {
    const talk = new Conversation(REDIS).sent(PING).received(PONG);
    talk.sent(command("SELECT", "5")).received("+OK\r\n").sent(PING).received(PONG);
    talk.sent(command("SELECT", "99")).received("-ERR DB index is out of range\r\n");
    talk.sent(PING).received(PONG);
    const databases = talk.observed.ended.map(({ attributes }) => attributes["db.namespace"]);
    assert.deepEqual(databases, ["0", "5", "5", "99", "5"]);
  });

  it("stops pairing after MONITOR and CLIENT REPLY OFF", () => {
    const monitor = new Conversation(REDIS).sent(command("MONITOR")).received("+OK\r\n");
    monitor.received('+1 [0 a:1] "GET"\r\n').close();
    assert.deepEqual(monitor.names, ["MONITOR"]);
    const off = new Conversation(REDIS)
      .sent(command("CLIENT", "REPLY", "OFF"))
      .sent(PING)
      .close();
    assert.deepEqual(off.names, []);
    assert.deepEqual(off.observed.abandoned, ["after_upgrade"]);
  });

  it("shows neither keys nor values nor what is no command", () => {
    const talk = new Conversation(REDIS).sent(command("config", "SET", "requirepass", "hunter2"));
    talk.received("+OK\r\n").sent(command("hunter2", "x")).received("-ERR unknown command\r\n");
    const texts = talk.observed.ended.map(({ attributes }) => attributes["db.query.text"]);
    assert.deepEqual(texts, ["config SET ? ?", "_OTHER ?"]);
  });

  it("keeps keys and values only if raw statements are wanted", () => {
    const commands =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nv1\r\nGET k\r\n*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n";
    const texts = (rawStatements: boolean): readonly unknown[] => {
      const talk = new Conversation(REDIS, { ...TEST_OPTIONS, rawStatements });
      talk.sent(commands).received("+OK\r\n+v1\r\n+OK\r\n").close();
      return talk.observed.ended.map(({ attributes }) => attributes["db.query.text"]);
    };
    assert.deepEqual(texts(false), ["SET ? ?", "GET ?", "CLIENT SETNAME ?"]);
    assert.deepEqual(texts(true), ["SET k v1", "GET k", "CLIENT SETNAME me"]);
  });
});
