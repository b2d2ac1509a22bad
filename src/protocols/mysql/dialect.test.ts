// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation } from "../testing.ts";
import { detect } from "./detect.ts";
import { MYSQL } from "./protocol.ts";

/** By https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html */

function int(value: number, bytes: number): string {
  let text = "";
  for (let index = 0; index < bytes; index++) {
    text += String.fromCharCode(Math.floor(value / 256 ** index) & 255);
  }
  return text;
}

function packet(sequence: number, payload: string): string {
  return int(payload.length, 3) + int(sequence, 1) + payload;
}

const GREETING = packet(0, `\x0a11.4.2-MariaDB\0${"\x01".repeat(60)}`);
const OK = "\0\0\0\x02\0\0\0";
const EOF = "\xfe\0\0\x02\0";
const COLUMN = `\x03def${"\0".repeat(20)}`;

/** CLIENT_PROTOCOL_41 and the given flags, then the user, no password and the database. */
function login(flags = 0, rest = "me\0\0shop\0"): string {
  return packet(1, int(0x200 | flags, 4) + "\0".repeat(28) + rest);
}

function connected(flags = 8): Conversation {
  return new Conversation(MYSQL).received(GREETING).sent(login(flags)).received(packet(2, OK));
}

function query(text: string): string {
  return packet(0, `\x03${text}`);
}

function rows(values: readonly string[], end: string = EOF, first = 1): string {
  const packets = ["\x01", COLUMN, EOF, ...values.map((value) => `\x01${value}`), end];
  return packets.map((payload, index) => packet(index + first, payload)).join("");
}

function linesOf(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(({ name, attributes }) => {
    const error = attributes["error.type"];
    const text = String(attributes["db.query.text"] ?? name);
    return error === undefined ? text : `${text} !${String(error)}`;
  });
}

describe("MySQL", () => {
  it("reads rows, errors and the database from the login on", () => {
    const talk = connected()
      .sent(query("SELECT 5 FROM t"))
      .received(rows(["a", "b"]));
    talk.sent(query("SELECT x")).received(packet(1, "\xff\x1e\x04#42S22Unknown column"));
    talk.close();
    const [one, two] = talk.observed.ended;
    assert.deepEqual(one?.attributes, {
      "db.system.name": "mariadb",
      "db.namespace": "shop",
      "db.operation.name": "SELECT",
      "db.collection.name": "t",
      "db.query.summary": "SELECT t",
      "db.query.text": "SELECT ? FROM t",
      "db.response.returned_rows": 2,
    });
    assert.equal(two?.attributes["db.response.status_code"], "1054");
    assert.equal(two?.error, "42S22");
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads results that end with OK in place of EOF", () => {
    const end = "\xfe\0\0\x02\0\0\0";
    const packets = ["\x01", COLUMN, "\x01a", end];
    const response = packets.map((payload, index) => packet(index + 1, payload)).join("");
    const empty = ["\x01", COLUMN, end]
      .map((payload, index) => packet(index + 1, payload))
      .join("");
    const talk = connected().sent(query("SELECT a")).received(response);
    talk.sent(query("SELECT b")).received(empty).close();
    const counts = talk.observed.ended.map((span) => span.attributes["db.response.returned_rows"]);
    assert.deepEqual(counts, [1, 0]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("remembers the text of a prepared statement by its number, until it is closed", () => {
    const execute = packet(0, `\x17${int(7, 4)}\0${int(1, 4)}`);
    const prepared = packet(1, `\0${int(7, 4)}${int(1, 2)}${int(1, 2)}\0\0\0`);
    const definitions = [packet(2, COLUMN), packet(3, EOF), packet(4, COLUMN), packet(5, EOF)];
    const talk = connected().sent(packet(0, "\x16SELECT a FROM t WHERE b = ?"));
    talk
      .received(prepared + definitions.join(""))
      .sent(execute)
      .received(rows([]));
    talk.sent(packet(0, `\x19${int(7, 4)}`) + execute).received(rows([]));
    talk.close();
    assert.deepEqual(linesOf(talk), ["SELECT a FROM t WHERE b = ?", "shop"]);
    assert.deepEqual(talk.observed.abandoned, ["no_operation"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("pairs what MariaDB's clients send ahead, the statement that was prepared last too", () => {
    const execute = packet(0, `\x17${int(0xffffffff, 4)}\0${int(1, 4)}`);
    const prepared = packet(1, `\0${int(9, 4)}\0\0\0\0\0\0\0`);
    const talk = connected().sent(packet(0, "\x16DELETE FROM t") + execute + query("SELECT z"));
    talk.received(prepared + packet(1, OK) + rows(["1"])).close();
    assert.deepEqual(linesOf(talk), ["DELETE FROM t", "SELECT z"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("takes several results of one query as one", () => {
    const more = "\xfe\0\0\x0a\0";
    const talk = connected().sent(query("SELECT 1; SELECT 2"));
    talk.received(rows(["1"], more) + rows(["2"], EOF, 6)).close();
    assert.deepEqual(linesOf(talk), ["SELECT ?; SELECT ?"]);
    assert.equal(talk.observed.ended[0]?.attributes["db.response.returned_rows"], undefined);
  });

  it("takes a file that the server asks for as a part of the statement", () => {
    const talk = connected().sent(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
    talk.received(packet(1, "\xfbf")).sent(packet(2, "\x03SELECT")).sent(packet(3, ""));
    talk.received(packet(4, OK)).sent(query("SELECT a")).received(rows([])).close();
    assert.deepEqual(linesOf(talk), ["LOAD DATA LOCAL INFILE ? INTO TABLE t", "SELECT a"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("follows the database through INIT_DB, USE and a change of user, and not through errors", () => {
    const error = packet(1, "\xff\x19\x04#42000Unknown database");
    const talk = connected().sent(packet(0, "\x02other")).received(packet(1, OK));
    talk.sent(query("USE nowhere")).received(error).sent(query("USE `third`"));
    talk.received(packet(1, OK)).sent(query("SELECT a")).received(rows([]));
    talk.sent(packet(0, "\x11you\0\x02ab" + "fourth\0")).received(packet(1, OK));
    talk.sent(query("SELECT b")).received(rows([])).close();
    const namespaces = talk.observed.ended.map((span) => span.attributes["db.namespace"]);
    assert.deepEqual(namespaces, ["shop", "other", "other", "third", "fourth"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads a statement that is longer than a packet, whatever its bytes are", () => {
    const long = `\x03SELECT '${"x".repeat(0xffffff - 9)}`;
    const talk = connected().sent(packet(0, long), 8192).sent(packet(1, "\x03SELECT"));
    talk.received(packet(2, OK)).sent(query("SELECT a")).received(rows([])).close();
    assert.deepEqual(linesOf(talk), ["SELECT ?", "SELECT a"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  for (const end of [EOF, "\xfe\0\0\x02\0\0\0"]) {
    it(`knows by its last bytes that a result of which the beginning is seen ends (${end.length})`, () => {
      const many = new Array<string>(400).fill("r".repeat(30));
      const whole = rows(many, end);
      const talk = connected().sent(query("SELECT a"));
      talk.received(whole.slice(0, 9000), 4000).received(whole.slice(9000), 1000);
      talk
        .sent(query("SELECT b"))
        .received(rows(["1"]))
        .close();
      assert.deepEqual(linesOf(talk), ["SELECT a", "SELECT b"]);
      assert.deepEqual(talk.observed.losses, []);
      assert.equal(talk.observed.ended[0]?.attributes["db.response.returned_rows"], undefined);
    });
  }

  it("is over when TLS or compression begins", () => {
    const tls = packet(1, int(0x200 | 0x800, 4) + "\0".repeat(28));
    const encrypted = new Conversation(MYSQL).received(GREETING).sent(tls).sent("\x16\x03\x01");
    assert.deepEqual(encrypted.observed.losses, ["after_upgrade", "after_upgrade"]);
    const compressed = connected(0x20 | 8)
      .sent("\x10\0\0\0\0\0\0")
      .close();
    assert.deepEqual(compressed.observed.losses, ["after_upgrade", "after_upgrade"]);
  });

  it("believes an older connection from the first statement after an answer on", () => {
    const talk = new Conversation(MYSQL).lost(0, 100).lost(1, 100);
    talk
      .sent(query("SELECT a"))
      .received(rows(["1"]))
      .sent(query("SELECT b"));
    talk.received(rows(["1"])).close();
    assert.deepEqual(linesOf(talk), ["SELECT b"]);
    assert.equal(talk.observed.ended[0]?.attributes["db.namespace"], undefined);
  });

  it("gives no span for what has no answer, and one with an error for what never got its own", () => {
    const talk = connected()
      .sent(packet(0, `\x19${int(7, 4)}`))
      .sent(query("SELECT SLEEP(9)"));
    talk.close(104);
    assert.deepEqual(linesOf(talk), ["SELECT SLEEP(?) !ECONNRESET"]);
    const left = connected().sent(packet(0, "\x01")).close();
    assert.deepEqual(linesOf(left), []);
  });
});

describe("detect", () => {
  const told = (text: string): string => {
    const bytes = Buffer.from(text, "latin1");
    return detect(bytes, 0, bytes.length);
  };

  it("is sure of greetings, logins and statements only", () => {
    for (const text of [
      GREETING,
      login(),
      query("select 1"),
      packet(0, "\x16/**/ x").slice(0, 0),
    ]) {
      assert.equal(told(text), text === "" ? "more" : "yes");
    }
    assert.equal(told(packet(1, OK)), "weak");
    assert.equal(told(packet(0, "\x0e")), "weak");
    for (const text of [
      "GET / HTTP/1.1\r\n",
      "*1\r\n$4\r\nPING\r\n",
      "\0\0\0\x08\x04\xd2\x16\x2f",
    ]) {
      assert.equal(told(text), "no", text);
    }
  });
});
