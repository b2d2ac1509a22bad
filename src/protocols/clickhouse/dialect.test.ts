// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation } from "../testing.ts";
import { detect } from "./detect.ts";
import { CLICKHOUSE } from "./protocol.ts";

/** Packets as https://clickhouse.com/docs/native-protocol describes them. */
function varint(value: number): string {
  return value < 128
    ? String.fromCharCode(value)
    : String.fromCharCode((value & 127) | 128) + varint(value >> 7);
}

function text(value: string): string {
  return varint(value.length) + value;
}

function int32(value: number): string {
  return [0, 8, 16, 24].map((shift) => String.fromCharCode((value >> shift) & 255)).join("");
}

const REVISION = 54467;
const CLIENT_HELLO = `\0${text("ClickHouse client")}${varint(24)}${varint(8)}${varint(REVISION)}${text("shop")}${text("me")}${text("secret")}`;
const SERVER_HELLO = `\0${text("ClickHouse")}${varint(24)}${varint(8)}${varint(REVISION)}${text("UTC")}${text("host")}${varint(1)}${varint(1)}${text("[a-z]")}${text("letters")}12345678`;
const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID = "b7ad6b7169203331";

/** Eight bytes at a time, least significant first. */
function swapped(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  for (let at = 0; at < bytes.length; at += 8) bytes.subarray(at, at + 8).reverse();
  return bytes.toString("latin1");
}

interface QueryFields {
  readonly traced?: boolean;
  readonly compressed?: boolean;
  readonly settings?: string;
}

function query(sql: string, fields: QueryFields = {}): string {
  const trace = fields.traced ? `\x01${swapped(TRACE_ID)}${swapped(SPAN_ID)}${text("")}\x01` : "\0";
  const info = [
    `\x01${text("")}${text("")}${text("0.0.0.0:0")}${"\0".repeat(8)}\x01`,
    `${text("root")}${text("host")}${text("ClickHouse client")}${varint(24)}${varint(8)}${varint(REVISION)}`,
    `${text("")}${varint(0)}${varint(1)}${trace}${varint(0)}${varint(0)}${varint(0)}`,
  ].join("");
  const settings = `${fields.settings ?? ""}${text("")}`;
  const compression = varint(fields.compressed ? 1 : 0);
  return `\x01${text("")}${info}${settings}${text("")}${varint(2)}${compression}${text(sql)}${text("")}`;
}

const BLOCK_HEAD = `${text("")}\x01\0\x02\xff\xff\xff\xff\0`;
const NO_BLOCK = `\x02${BLOCK_HEAD}\0\0`;
const PROGRESS = `\x03${varint(1)}${varint(8)}${varint(0)}${varint(8)}\0\0${varint(300_000)}`;
const END = "\x05";

interface Column {
  readonly name: string;
  readonly type: string;
  readonly data: string;
}

function block(kind: string, rows: number, columns: readonly Column[]): string {
  const parts = columns.map(({ name, type, data }) => `${text(name)}${text(type)}\0${data}`);
  return `${kind}${BLOCK_HEAD}${varint(columns.length)}${varint(rows)}${parts.join("")}`;
}

function opened(): Conversation {
  const talk = new Conversation(CLICKHOUSE);
  return talk.sent(CLIENT_HELLO).received(SERVER_HELLO).sent(text(""));
}

/** Two rows of each type whose bytes the reader must know the length of. */
const COLUMNS: readonly Column[] = [
  { name: "a", type: "UInt8", data: "\x01\x02" },
  { name: "b", type: "String", data: text("one") + text("x".repeat(200)) },
  { name: "c", type: "Nullable(Int32)", data: `\0\x01${int32(5)}${int32(0)}` },
  { name: "d", type: "DateTime64(3, 'UTC')", data: "\x05".repeat(16) },
  {
    name: "e",
    type: "Array(UInt16)",
    data: `${"\x01"}${"\0".repeat(7)}\x03${"\0".repeat(7)}\x05\x05\x05\x05\x05\x05`,
  },
  { name: "f", type: "FixedString(3)", data: "abcdef" },
  { name: "g", type: "Enum8('x' = 1, 'y' = 2)", data: "\x01\x02" },
  { name: "h", type: "Decimal(18, 4)", data: "\x05".repeat(16) },
  { name: "i", type: "Tuple(p UInt8, q String)", data: `\x01\x02${text("p")}${text("q")}` },
  {
    name: "j",
    type: "Map(String, UInt8)",
    data: `\x01${"\0".repeat(7)}\x01${"\0".repeat(7)}${text("k")}\x05`,
  },
  {
    name: "k",
    type: "LowCardinality(String)",
    data: `\x01${"\0".repeat(7)}\0\x02${"\0".repeat(6)}\x02${"\0".repeat(7)}${text("")}${text("low")}\x02${"\0".repeat(7)}\x01\x01`,
  },
  { name: "l", type: "UUID", data: "\x05".repeat(32) },
  {
    name: "m",
    type: "LowCardinality(Nullable(FixedString(2)))",
    data: `\x01${"\0".repeat(7)}\0\x06${"\0".repeat(6)}\x02${"\0".repeat(7)}\0\0hi\x02${"\0".repeat(7)}\x01\x01`,
  },
];

const HEADER = block(
  "\x01",
  0,
  COLUMNS.map((column) => ({ ...column, data: "" })),
);

describe("ClickHouse", () => {
  it("reads a query and its rows, of every type of column", () => {
    const talk = opened().sent(query("SELECT * FROM t WHERE id = 7") + NO_BLOCK);
    talk.received(HEADER).received(block("\x01", 2, COLUMNS));
    const events = block("\x0e", 1, [{ name: "name", type: "String", data: text("Query") }]);
    const profile = `\x06${varint(2)}${varint(1)}${varint(99)}\0${varint(0)}\0`;
    talk.received(events + profile + PROGRESS + block("\x01", 0, []) + PROGRESS + END);
    assert.equal(talk.observed.ended.length, 1);
    const [span] = talk.observed.ended;
    assert.equal(span?.name, "SELECT t");
    assert.deepEqual(span?.attributes, {
      "db.system.name": "clickhouse",
      "db.namespace": "shop",
      "db.operation.name": "SELECT",
      "db.collection.name": "t",
      "db.query.summary": "SELECT t",
      "db.query.text": "SELECT * FROM t WHERE id = ?",
      "db.response.returned_rows": 2,
    });
    talk.close();
    assert.deepEqual(talk.observed.losses, []);
  });

  it("gives the same with any cut of the bytes", () => {
    const asked =
      query("SELECT b FROM t", { traced: true, settings: `${text("max_threads")}\0${text("4")}` }) +
      NO_BLOCK;
    const answered = HEADER + block("\x01", 2, COLUMNS) + PROGRESS + END;
    for (const size of [1, 2, 3, 7, 64]) {
      const talk = opened();
      for (let at = 0; at < asked.length; at += size) talk.sent(asked.slice(at, at + size));
      for (let at = 0; at < answered.length; at += size)
        talk.received(answered.slice(at, at + size));
      talk.close();
      assert.deepEqual(talk.names, ["SELECT t"], String(size));
      assert.equal(talk.observed.ended[0]?.attributes["db.response.returned_rows"], 2);
      assert.equal(talk.observed.ended[0]?.traceContext, `${TRACE_ID}-${SPAN_ID}-true`);
      assert.deepEqual(talk.observed.losses, []);
    }
  });

  it("has an exception's number and what it is called", () => {
    const stack = text("0. DB::Exception\n".repeat(50));
    const message = text("DB::Exception: Table shop.missing does not exist. (UNKNOWN_TABLE)");
    const talk = opened().sent(query("SELECT 1 FROM missing") + NO_BLOCK);
    talk.received(`\x02${int32(60)}${text("DB::Exception")}${message}${stack}\0`);
    const [span] = talk.observed.ended;
    assert.equal(span?.attributes["db.response.status_code"], "60");
    assert.equal(span?.attributes["error.type"], "60");
    assert.equal(span?.error, "UNKNOWN_TABLE");
    talk.sent(query("SELECT 2") + NO_BLOCK).received(PROGRESS + END);
    assert.equal(talk.observed.ended.length, 2);
    assert.equal(talk.observed.ended[1]?.error, undefined);
  });

  it("takes blocks of an INSERT for a part of it, and counts pings as no operation", () => {
    const talk = opened().sent("\x04").received("\x04");
    talk.sent(query("INSERT INTO t (a) VALUES") + NO_BLOCK);
    talk.received(block("\x01", 0, [{ name: "a", type: "UInt8", data: "" }]));
    talk.sent(block("\x02", 3, [{ name: "a", type: "UInt8", data: "\x01\x04\x05" }]) + NO_BLOCK);
    talk.received(END);
    talk.close();
    assert.deepEqual(talk.names, ["INSERT t"]);
    assert.deepEqual(talk.observed.abandoned, ["no_operation"]);
    const [span] = talk.observed.ended;
    assert.ok((span?.timesNs[1] ?? 0) > (span?.timesNs[2] ?? 0));
    assert.equal(span?.attributes["db.response.returned_rows"], undefined);
  });

  it("finds its way through compressed blocks by their lengths", () => {
    const frame = (bytes: string): string =>
      `${"\x11".repeat(16)}\x82${int32(bytes.length + 9)}${int32(1000)}${bytes}`;
    const talk = opened().sent(query("SELECT b FROM t", { compressed: true }));
    const packet = `\x01${text("")}${frame("\x05".repeat(300))}`;
    talk.received(packet).received(packet + PROGRESS + END);
    talk.sent("\x04");
    assert.deepEqual(talk.names, ["SELECT t"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("lets rows go by that are too many, up to the end of the stream", () => {
    const talk = opened().sent(query("SELECT b FROM t") + NO_BLOCK);
    const long = block("\x01", 300, [
      { name: "b", type: "String", data: text("y".repeat(120)).repeat(300) },
    ]);
    talk.received(long, 8000);
    for (let left = 3; left > 0; left--) talk.received(`${"\x05".repeat(3000)}`);
    assert.equal(talk.observed.ended.length, 0);
    talk.received(PROGRESS + END);
    assert.deepEqual(talk.names, ["SELECT t"]);
    talk.sent(query("SELECT 2") + NO_BLOCK).received(PROGRESS + END);
    assert.deepEqual(talk.names, ["SELECT t", "SELECT"]);
  });

  it("does not know a type, and goes on at the end of the stream or at the next query", () => {
    const odd = block("\x01", 1, [
      { name: "v", type: "AggregateFunction(sum, UInt8)", data: "\x05\x05" },
    ]);
    const talk = opened()
      .sent(query("SELECT v FROM t") + NO_BLOCK)
      .received(odd);
    assert.equal(talk.observed.ended.length, 0);
    talk.received(PROGRESS + END);
    assert.deepEqual(talk.names, ["SELECT t"]);
    talk.sent(query("SELECT v FROM u") + NO_BLOCK).received(odd);
    talk.sent(query("SELECT v FROM w") + NO_BLOCK).received(PROGRESS + END);
    assert.deepEqual(talk.names, ["SELECT t", "SELECT u", "SELECT w"]);
  });

  it("begins in the middle of a connection, also with an answer that is no query's", () => {
    const talk = new Conversation(CLICKHOUSE);
    talk.positions[0] = 5000;
    talk.positions[1] = 7000;
    talk.received(PROGRESS + END);
    talk.sent(query("SELECT a FROM t", { traced: true }) + NO_BLOCK);
    talk.received(PROGRESS + END).close();
    assert.deepEqual(talk.names, ["SELECT t"]);
    assert.equal(talk.observed.ended[0]?.traceContext, `${TRACE_ID}-${SPAN_ID}-true`);
  });

  it("tells a query that nobody answers", () => {
    const talk = opened()
      .sent(query("SELECT sleep(3)") + NO_BLOCK)
      .close(104);
    assert.equal(talk.observed.ended[0]?.attributes["error.type"], "ECONNRESET");
  });

  it("is recognised by packets of either side, and not by others' first bytes", () => {
    const found = (value: string): string => {
      const bytes = Buffer.from(value, "latin1");
      return detect(bytes, 0, bytes.length);
    };
    const exception = `\x02${int32(60)}${text("DB::Exception")}`;
    const packets = [CLIENT_HELLO, SERVER_HELLO, query("SELECT 1"), HEADER, exception];
    for (const packet of packets) {
      assert.equal(found(packet), "yes");
      assert.notEqual(found(packet.slice(0, 5)), "no");
    }
    const fastCgi = "\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0";
    for (const other of [fastCgi, "GET / HTTP/1.1\r\n", "*1\r\n$4\r\nPING\r\n", "\0\0\0\x01"]) {
      assert.notEqual(found(other), "yes");
    }
  });

  it("leaves a connection whose stream is cut into chunks alone", () => {
    const revision = 54471;
    const hello = CLIENT_HELLO.replace(varint(REVISION), varint(revision));
    const answer = `\0${text("ClickHouse")}${varint(24)}${varint(10)}${varint(revision)}${varint(4)}${text("UTC")}${text("host")}${varint(1)}${text("chunked")}${text("chunked")}\0${"12345678"}`;
    const talk = new Conversation(CLICKHOUSE).sent(hello).received(answer);
    talk.sent(`${text("")}${text("chunked")}${text("chunked")}${varint(4)}`);
    talk.sent(int32(90) + query("SELECT 1")).close();
    assert.deepEqual(talk.names, []);
    assert.ok(talk.observed.losses.includes("after_upgrade"));
  });
});
