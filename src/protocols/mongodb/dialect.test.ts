// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Conversation, TEST_OPTIONS } from "../testing.ts";
import { detect } from "./message.ts";
import { MONGODB } from "./protocol.ts";

/** By https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ and https://bsonspec.org */

function int32(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes.toString("latin1");
}

function double(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes.toString("latin1");
}

type Value = string | number | readonly Value[] | { readonly [name: string]: Value };

function bson(value: { readonly [name: string]: Value }): string {
  const elements = Object.entries(value).map(([name, inner]) => {
    if (typeof inner === "string") return `\x02${name}\0${int32(inner.length + 1)}${inner}\0`;
    if (typeof inner === "number" && Number.isInteger(inner)) return `\x10${name}\0${int32(inner)}`;
    if (typeof inner === "number") return `\x01${name}\0${double(inner)}`;
    const isArray = Array.isArray(inner);
    return `${isArray ? "\x04" : "\x03"}${name}\0${bson(Object.fromEntries(Object.entries(inner)))}`;
  });
  const body = `${elements.join("")}\0`;
  return int32(body.length + 4) + body;
}

function message(id: number, responseTo: number, opcode: number, body: string): string {
  return int32(body.length + 16) + int32(id) + int32(responseTo) + int32(opcode) + body;
}

function msg(
  id: number,
  responseTo: number,
  document: { readonly [name: string]: Value },
  flags = 0,
): string {
  const checksum = (flags & 1) === 0 ? "" : "abcd";
  return message(id, responseTo, 2013, `${int32(flags)}\0${bson(document)}${checksum}`);
}

function linesOf(talk: Conversation): readonly string[] {
  return talk.observed.ended.map(({ name, attributes }) => {
    const error = attributes["error.type"];
    return error === undefined ? name : `${name} !${String(error)}`;
  });
}

describe("MongoDB", () => {
  it("pairs replies by the id that they name, and leaves values out", () => {
    const find = msg(7, 0, {
      find: "users",
      filter: { name: "secret", age: { $gt: 5 } },
      $db: "shop",
    });
    const talk = new Conversation(MONGODB).sent(find + msg(8, 0, { ping: 1, $db: "admin" }));
    talk.received(msg(1, 8, { ok: 1.5 }));
    talk
      .received(msg(2, 7, { cursor: { firstBatch: [{ a: 1 }, { a: 2 }], id: 0 }, ok: 1 }))
      .close();
    assert.deepEqual(linesOf(talk), ["ping", "find users"]);
    assert.deepEqual(talk.observed.ended[1]?.attributes, {
      "db.system.name": "mongodb",
      "db.namespace": "shop",
      "db.operation.name": "find",
      "db.collection.name": "users",
      "db.query.text": '{"find": "users", "filter": {"name": ?, "age": {"$gt": ?}}}',
      "db.response.returned_rows": 2,
    });
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads errors of commands and of writes", () => {
    const talk = new Conversation(MONGODB).sent(msg(1, 0, { aggregate: 1, $db: "a" }));
    talk.received(msg(9, 1, { ok: 0.5 - 0.5, code: 13, codeName: "Unauthorized" }));
    talk.sent(msg(2, 0, { insert: "t", $db: "a" }));
    talk.received(msg(9, 2, { n: 0, writeErrors: [{ index: 0, code: 11000 }], ok: 1 })).close();
    assert.deepEqual(linesOf(talk), ["aggregate !13", "insert t !11000"]);
    assert.equal(talk.observed.ended[0]?.error, "Unauthorized");
  });

  it("reads rows of documents, checksums and requests without a reply", () => {
    const documents = bson({ a: 1 }) + bson({ a: 2 }) + bson({ a: 3 });
    const section = `\x01${int32(documents.length + 14)}documents\0${documents}`;
    const body = `${int32(3)}\0${bson({ insert: "t", $db: "a" })}${section}abcd`;
    const talk = new Conversation(MONGODB).sent(message(1, 0, 2013, body));
    talk
      .sent(msg(2, 0, { ping: 1, $db: "a" }))
      .received(msg(9, 2, { ok: 1 }, 1))
      .close();
    assert.deepEqual(linesOf(talk), ["insert t", "ping"]);
    const [insert] = talk.observed.ended;
    assert.equal(insert?.attributes["db.operation.batch.size"], 3);
    assert.deepEqual(insert?.timesNs, [1000, 1000, 0, 1000]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("ends an exhausting request with its first reply, and takes the others as its rest", () => {
    const talk = new Conversation(MONGODB).sent(
      msg(1, 0, { getMore: 5, collection: "t", $db: "a" }, 65536),
    );
    talk.received(msg(50, 1, { ok: 1 }, 2)).received(msg(51, 50, { ok: 1 }, 2));
    talk.received(msg(52, 51, { ok: 1 })).close();
    assert.deepEqual(linesOf(talk), ["getMore t"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads messages of before OP_MSG", () => {
    const command = `${int32(0)}admin.$cmd\0${int32(0)}${int32(-1)}${bson({ buildInfo: 1 })}`;
    const reply = `${int32(0)}${"\0".repeat(12)}${int32(1)}${bson({ ok: 1 })}`;
    const query = `${int32(0)}shop.users\0${int32(0)}${int32(5)}${bson({ a: 1 })}`;
    const talk = new Conversation(MONGODB).sent(message(1, 0, 2004, command));
    talk.received(message(9, 1, 1, reply)).sent(message(2, 0, 2004, query));
    talk.received(message(9, 2, 1, int32(2) + reply.slice(4)));
    talk.sent(message(3, 0, 2002, `${int32(0)}shop.users\0${bson({ a: 1 })}`)).close();
    assert.deepEqual(linesOf(talk), ["buildInfo", "find users !_OTHER", "insert users"]);
    assert.equal(talk.observed.ended[0]?.attributes["db.namespace"], "admin");
  });

  it("tells a greeting from an operation", () => {
    const talk = new Conversation(MONGODB).sent(msg(1, 0, { hello: 1, $db: "admin" }));
    talk.received(msg(9, 1, { ok: 1 })).close();
    assert.deepEqual(linesOf(talk), []);
    assert.deepEqual(talk.observed.abandoned, ["no_operation"]);
  });

  it("reads out of OP_COMPRESSED what is not compressed, and counts on without what is", () => {
    const inner = `${int32(0)}\0${bson({ find: "t", $db: "a" })}`;
    const wrapped = (id: number, compressor: number): string =>
      message(
        id,
        0,
        2012,
        int32(2013) + int32(inner.length) + String.fromCharCode(compressor) + inner,
      );
    const talk = new Conversation(MONGODB).sent(wrapped(1, 0)).received(msg(9, 1, { ok: 1 }));
    talk
      .sent(wrapped(2, 2))
      .received(msg(9, 2, { ok: 1 }))
      .close();
    assert.deepEqual(linesOf(talk), ["find t", "mongodb"]);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("reads what is captured of a long message", () => {
    const docs = new Array<Value>(400).fill({ text: "x".repeat(20) });
    const talk = new Conversation(MONGODB).sent(
      msg(1, 0, { insert: "t", documents: docs, $db: "a" }),
      300,
    );
    talk.received(msg(9, 1, { cursor: { firstBatch: docs, id: 0 }, ok: 1 }), 300);
    talk
      .sent(msg(2, 0, { ping: 1, $db: "a" }))
      .received(msg(9, 2, { ok: 1 }))
      .close();
    assert.deepEqual(linesOf(talk), ["insert t", "ping"]);
    assert.equal(talk.observed.ended[0]?.attributes["db.response.returned_rows"], undefined);
    assert.deepEqual(talk.observed.losses, []);
  });

  it("keeps values only if raw statements are wanted", () => {
    const talk = new Conversation(MONGODB, { ...TEST_OPTIONS, rawStatements: true });
    talk.sent(msg(1, 0, { find: "t", filter: { a: "x", b: [1, 2.5] }, $db: "a" }));
    talk.received(msg(9, 1, { ok: 1 })).close();
    const expected = '{"find": "t", "filter": {"a": "x", "b": [1, 2.5]}}';
    assert.equal(talk.observed.ended[0]?.attributes["db.query.text"], expected);
  });
});

describe("detect", () => {
  const told = (text: string): string => {
    const bytes = Buffer.from(text, "latin1");
    return detect(bytes, 0, bytes.length);
  };

  it("is sure of whole headers with what fits them only", () => {
    assert.equal(told(msg(1, 0, { ping: 1 })), "yes");
    assert.equal(told(msg(1, 5, { ok: 1 })), "yes");
    assert.equal(told(msg(1, 0, { ping: 1 }).slice(0, 15)), "more");
    assert.equal(told(msg(1, 0, { ping: 1 }, 4)), "no");
    for (const text of [
      "GET / HTTP/1.1\r\n\r\n",
      "*1\r\n$4\r\nPING\r\n",
      "\0\0\0\x08\x04\xd2\x16\x2f",
    ]) {
      assert.equal(told(text), "no", text);
    }
  });
});
