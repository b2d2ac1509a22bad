// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Protocol, RECEIVED, SENT } from "../model/protocol.ts";
import { CLICKHOUSE } from "./clickhouse/protocol.ts";
import { MEMCACHED } from "./memcached/protocol.ts";
import { MYSQL } from "./mysql/protocol.ts";
import { POSTGRESQL } from "./postgresql/protocol.ts";
import { cut, type Piece, playPieces } from "./properties-testing.ts";
import { REDIS } from "./redis/protocol.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "./testing.ts";

/** Whole conversations in which each request can be told from its response's status. */

const RUNS = 300;
const OPTIONS = { ...TEST_OPTIONS, pipelinedMax: 64 };

/** How a protocol writes request `number`, and a response that carries the number too. */
interface Writer {
  readonly protocol: Protocol;
  readonly opening: readonly Piece[];
  /** A client may send requests before earlier ones are answered. */
  readonly pipelines?: false;
  /** Numbers are told apart up to this. */
  readonly modulo: number;
  request(number: number, padding: number): string;
  response(number: number, padding: number): string;
  /** The numbers in a span's text and status. */
  requestNumber(attributes: Readonly<Record<string, unknown>>): number;
  responseNumber(attributes: Readonly<Record<string, unknown>>): number;
}

/** Bodies that look like messages: nothing in them may be believed. */
function bait(length: number): string {
  const text = "*1\r\n$4\r\nPING\r\n-E999 no\r\n+OK\r\nQ\0\0\0\x0bSELECT\0Z\0\0\0\x05I";
  return text.repeat(Math.ceil(length / text.length)).slice(0, length);
}

function int32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function message(type: string, body: string): string {
  return type + int32(body.length + 4) + body;
}

const redis: Writer = {
  protocol: REDIS,
  modulo: 15,
  opening: [],
  request: (number, padding) => {
    // As many arguments as the number: that is what the text shows.
    const values = new Array<string>(number % 15).fill("$1\r\na\r\n");
    const pad = bait(padding);
    return `*${values.length + 2}\r\n$3\r\nDEL\r\n$${pad.length}\r\n${pad}\r\n${values.join("")}`;
  },
  response: (number, padding) =>
    `|1\r\n+pad\r\n$${padding}\r\n${bait(padding)}\r\n-E${number % 15} error\r\n`,
  requestNumber: (attributes) => String(attributes["db.query.text"]).split("?").length - 2,
  responseNumber: (attributes) =>
    Number(String(attributes["db.response.status_code"] ?? "E-1").slice(1)),
};

const postgresql: Writer = {
  protocol: POSTGRESQL,
  modulo: 1e4,
  opening: [
    { direction: RECEIVED, text: `${int32(8)}${int32(80877103)}` },
    { direction: SENT, text: "N" },
    { direction: RECEIVED, text: `${int32(21)}${int32(196608)}user\0tester\0\0` },
    { direction: SENT, text: message("R", int32(0)) + message("Z", "I") },
  ],
  request: (number, padding) => {
    const sql = `SELECT t${number}x FROM "${bait(padding).replaceAll(/["\0]/g, "_")}"`;
    if (padding % 3 === 0) return message("Q", `${sql}\0`);
    const bind = message("B", `\0\0${"\0".repeat(6)}`);
    const parse = message("P", `\0${sql}\0\0\0`);
    return parse + bind + message("D", "P\0") + message("E", `\0${int32(0)}`) + message("S", "");
  },
  response: (number, padding) => {
    const row = message("D", `\0\x01${int32(padding)}${bait(padding)}`);
    const code = `E${String(number).padStart(4, "0")}`;
    return row.repeat(2) + message("E", `SERROR\0C${code}\0Mm\0\0`) + message("Z", "I");
  },
  requestNumber: (attributes) => Number(/t(\d+)x/.exec(String(attributes["db.query.text"]))?.[1]),
  responseNumber: (attributes) =>
    Number(String(attributes["db.response.status_code"] ?? "E-1").slice(1)),
};

/** A payload after its length of three bytes and its number. */
function packet(sequence: number, payload: string): string {
  const { length } = payload;
  return String.fromCharCode(length & 255, length >> 8, 0, sequence) + payload;
}

const mysql: Writer = {
  protocol: MYSQL,
  modulo: 1e4,
  opening: [
    { direction: SENT, text: packet(0, `\x0a8.4.0\0${"\x01".repeat(40)}`) },
    { direction: RECEIVED, text: packet(1, `\0\x02\0\0${"\0".repeat(28)}me\0\0\0`) },
    { direction: SENT, text: packet(2, "\0\0\0\x02\0\0\0") },
  ],
  request: (number, padding) => {
    const name = bait(padding).replaceAll(/[`\0]/g, "_");
    return packet(0, `\x03SELECT t${number}x FROM \`${name}\``);
  },
  response: (number, padding) => {
    const row = String.fromCharCode(padding) + bait(padding);
    const code = number + 1000;
    return [
      packet(1, "\x01"),
      packet(2, `\x03def${"\0".repeat(18)}`),
      packet(3, "\xfe\0\0\x02\0"),
      packet(4, row),
      packet(5, row),
      packet(6, `\xff${String.fromCharCode(code & 255, code >> 8)}#42000no`),
    ].join("");
  },
  requestNumber: (attributes) => Number(/t(\d+)x/.exec(String(attributes["db.query.text"]))?.[1]),
  responseNumber: (attributes) =>
    Number(String(attributes["db.response.status_code"] ?? "999")) - 1000,
};

/** As many keys as the number says, and an error's kind: what a request and its response differ in. */
const KINDS = ["ERROR", "CLIENT_ERROR no", "SERVER_ERROR no"] as const;

const memcachedText: Writer = {
  protocol: MEMCACHED,
  modulo: 3,
  opening: [],
  request: (number, padding) => {
    const pad = bait(padding);
    if (number % 3 === 0) return `set k${number} 0 0 ${pad.length}\r\n${pad}\r\n`;
    return `get${" key".repeat(number % 3)}\r\n`;
  },
  response: (number, padding) => {
    const pad = bait(padding);
    const value = number % 3 === 0 ? "" : `VALUE key 0 ${pad.length}\r\n${pad}\r\n`;
    return `${value}${KINDS[number % 3]}\r\n`;
  },
  requestNumber: (attributes) => {
    const text = String(attributes["db.query.text"]);
    return text.startsWith("set") ? 0 : text.split("?").length - 1;
  },
  responseNumber: (attributes) =>
    KINDS.findIndex(
      (kind) => kind.split(" ")[0] === String(attributes["db.response.status_code"] ?? ""),
    ),
};

const memcachedBinary: Writer = {
  protocol: MEMCACHED,
  modulo: 3,
  opening: [],
  request: (number, padding) => {
    const pad = bait(padding);
    const total = int32(pad.length + 8);
    const opcode = String.fromCharCode(1 + (number % 3));
    return `\x80${opcode}\0\0\x08\0\0\0${total}${int32(number)}${"\0".repeat(16)}${pad}`;
  },
  response: (number, padding) => {
    const pad = bait(padding);
    const opcode = String.fromCharCode(1 + (number % 3));
    const status = `\0${String.fromCharCode(0x81 + (number % 3))}`;
    const header = `\x81${opcode}\0\0\0\0${status}${int32(pad.length)}`;
    return `${header}${int32(number)}${"\0".repeat(8)}${pad}`;
  },
  requestNumber: (attributes) =>
    ["set", "add", "replace"].indexOf(String(attributes["db.operation.name"])),
  responseNumber: (attributes) =>
    Number(String(attributes["db.response.status_code"] ?? 0x80)) - 0x81,
};

/** A string after its length, a varint. */
function counted(text: string): string {
  const { length } = text;
  const size = length < 128 ? [length] : [(length & 127) | 128, length >> 7];
  return String.fromCharCode(...size) + text;
}

const clickhouse: Writer = {
  protocol: CLICKHOUSE,
  pipelines: false,
  modulo: 1e4,
  opening: [
    { direction: RECEIVED, text: `\0${counted("ClickHouse x")}\x01\x01\xce\xa8\x03\0\0\0` },
    { direction: SENT, text: `\0${counted("ClickHouse")}\x01\x01\xce\xa8\x03\0` },
  ],
  request: (number, padding) => {
    const name = bait(padding).replaceAll(/[`\0]/g, "_");
    const info = `\x01\0\0${counted("0.0.0.0:0")}\x01\0\0${counted("ClickHouse x")}\x01\x01\xce\xa8\x03\0`;
    return `\x01\0${info}\0\x02\0${counted(`SELECT t${number}x FROM \`${name}\``)}`;
  },
  response: (number, padding) => {
    const code = String.fromCharCode(number & 255, number >> 8, 0, 0);
    const column = `\x01\x02${counted("b")}${counted("String")}${counted(bait(padding)).repeat(2)}`;
    const block = `\x01\0\x01\0\x02\xff\xff\xff\xff\0${column}`;
    return `${block.repeat(2)}\x02${code}${counted("DB::Exception")}${counted("no")}\0\0`;
  },
  requestNumber: (attributes) => Number(/t(\d+)x/.exec(String(attributes["db.query.text"]))?.[1]),
  responseNumber: (attributes) => Number(attributes["db.response.status_code"] ?? -1),
};

const sizes = fc.array(fc.array(fc.nat(90), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 8,
});

/** Bursts of requests, each answered before the next burst. */
function bursts(writer: Writer, given: readonly (readonly number[])[]): Piece[] {
  const groups = writer.pipelines === false ? given.flat().map((padding) => [padding]) : given;
  const pieces = [...writer.opening];
  let number = 0;
  for (const group of groups) {
    group.forEach((padding, index) => {
      pieces.push({ direction: RECEIVED, text: writer.request(number + index, padding) });
    });
    group.forEach((padding, index) => {
      pieces.push({ direction: SENT, text: writer.response(number + index, padding) });
    });
    number += group.length;
  }
  return pieces;
}

/** Always one more request on its way than answered. */
function lagging(writer: Writer, paddings: readonly number[]): Piece[] {
  const pieces = [...writer.opening];
  paddings.forEach((padding, number) => {
    pieces.push({ direction: RECEIVED, text: writer.request(number, padding) });
    const before = paddings[number - 1];
    if (before !== undefined) {
      pieces.push({ direction: SENT, text: writer.response(number - 1, before) });
    }
  });
  return pieces;
}

function play(writer: Writer, pieces: readonly Piece[], dropped = new Set<number>()): Observed {
  return playPieces(writer.protocol, { ...OPTIONS }, pieces, dropped);
}

function assertPaired(writer: Writer, observed: Observed): number {
  let paired = 0;
  for (const { attributes } of observed.ended) {
    const response = writer.responseNumber(attributes);
    if (response < 0 || Number.isNaN(response)) continue;
    paired++;
    const request = writer.requestNumber(attributes);
    if (!Number.isNaN(request)) assert.equal(response, request % writer.modulo);
  }
  return paired;
}

const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  minLength: 1,
  maxLength: 6,
});

/** What only holds where requests need not wait for responses. */
function describePipelining(writer: Writer): void {
  it("gives each request of one record its own position", () => {
    const texts = [0, 1, 2, 3].map((number) => writer.request(number, 4));
    const all = { direction: RECEIVED, text: texts.join("") } as const;
    const answers = [0, 1, 2, 3].map((number) => writer.response(number, 4)).join("");
    const observed = play(writer, [...writer.opening, all, { direction: SENT, text: answers }]);
    const start = writer.opening
      .filter(({ direction }) => direction === RECEIVED)
      .reduce((sum, { text }) => sum + text.length, 0);
    const expected = texts.map((_, index) => start + texts.slice(0, index).join("").length);
    assert.deepEqual(
      observed.ended.map(({ position }) => position),
      expected,
    );
  });

  it("never pairs wrongly when a client keeps one request ahead and a record is lost", () => {
    const paddings = fc.array(fc.nat(90), { minLength: 2, maxLength: 12 });
    const check = (lengths: readonly number[], where: readonly number[], drop: number): void => {
      const pieces = cut(lagging(writer, lengths), where);
      assertPaired(writer, play(writer, pieces, new Set([drop % pieces.length])));
    };
    fc.assert(fc.property(paddings, fractions, fc.nat(1000), check), { numRuns: RUNS * 3 });
  });
}

for (const writer of [redis, postgresql, mysql, memcachedText, memcachedBinary, clickhouse]) {
  describe(`${writer.protocol.name}, any conversation`, () => {
    it("gives the same exchanges however the bytes are cut", () => {
      const check = (groups: readonly (readonly number[])[], where: readonly number[]): void => {
        const pieces = bursts(writer, groups);
        const whole = play(writer, pieces);
        const total = groups.flat().length;
        assert.equal(assertPaired(writer, whole), total);
        const parts = play(writer, cut(pieces, where));
        assert.deepEqual(
          parts.ended.map(({ name, position, attributes }) => ({ name, position, attributes })),
          whole.ended.map(({ name, position, attributes }) => ({ name, position, attributes })),
        );
        const positions = new Set(whole.ended.map(({ position }) => position));
        assert.equal(positions.size, total);
      };
      fc.assert(fc.property(sizes, fractions, check), { numRuns: RUNS });
    });

    if (writer.pipelines !== false) describePipelining(writer);
    it("never pairs wrongly when records of one exchange at a time are lost", () => {
      const check = (
        groups: readonly (readonly number[])[],
        where: readonly number[],
        drop: number,
      ): void => {
        const pieces = cut(bursts(writer, groups), where);
        assertPaired(writer, play(writer, pieces, new Set([drop % pieces.length])));
      };
      fc.assert(fc.property(sizes, fractions, fc.nat(1000), check), { numRuns: RUNS * 3 });
    });

    it("takes any bytes in any order", () => {
      const fragments = [writer.request(1, 9), writer.response(1, 9), writer.request(2, 0)];
      const part = fc.record({
        direction: fc.constantFrom<0 | 1>(RECEIVED, SENT),
        position: fc.nat(300),
        bytes: fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc.constantFrom(...fragments.map((text) => Buffer.from(text, "latin1"))),
        ),
        captured: fc.nat(60),
      });
      fc.assert(
        fc.property(fc.array(part, { maxLength: 30 }), (records) => {
          const observed = new Observed(writer.protocol, { ...OPTIONS });
          records.forEach((fields, index) => {
            observed.parser.data(new TestRecord({ ...fields, timeNs: index }));
          });
          observed.parser.close(1e6, 104);
          assert.equal(observed.openCount, 0);
          assert.ok(observed.parser.idle);
        }),
        { numRuns: RUNS * 3 },
      );
    });

    it("gives up a connection that is not of this protocol, and counts it", () => {
      const observed = new Observed(writer.protocol, { ...OPTIONS });
      let position = 0;
      for (let round = 0; round < 20; round++) {
        const bytes = Buffer.from(
          `${writer.request(1, 3).slice(0, 12)}\0\xff garbage ${round}`,
          "latin1",
        );
        observed.parser.data(
          new TestRecord({ direction: RECEIVED, position, bytes, timeNs: round }),
        );
        observed.parser.data(
          new TestRecord({ direction: SENT, position, bytes: bytes.fill(0x7f), timeNs: round }),
        );
        position += bytes.length;
      }
      observed.parser.close(100, 0);
      assert.deepEqual(
        observed.ended.filter(({ error }) => error === undefined),
        [],
      );
      assert.ok(observed.losses.length >= 15);
    });
  });
}
