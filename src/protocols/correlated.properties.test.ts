// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Protocol, RECEIVED, SENT } from "../model/protocol.ts";
import { CALL_WRITERS } from "./call-writers.ts";
import { CASSANDRA } from "./cassandra/protocol.ts";
import { createToyProtocol, toyFrame } from "./correlated-testing.ts";
import { KAFKA } from "./kafka/protocol.ts";
import { MONGODB } from "./mongodb/protocol.ts";
import { MQTT } from "./mqtt/protocol.ts";
import { NATS } from "./nats/protocol.ts";
import { cut, type Piece, playPieces } from "./properties-testing.ts";
import { PULSAR } from "./pulsar/protocol.ts";
import { ROCKETMQ } from "./rocketmq/protocol.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "./testing.ts";

/** Whole conversations in which each request and each response says its number. */

const RUNS = 300;
const OPTIONS = { ...TEST_OPTIONS, pipelinedMax: 64 };

/** How a protocol writes request `number` with an id, and the response that carries both. */
interface Writer {
  readonly protocol: Protocol;
  readonly opening: readonly Piece[];
  /** Ids in use at once at most; the writer uses them again as soon as they are free. */
  readonly ids: number;
  /** Responses come in the order of requests. */
  readonly inOrder: boolean;
  request(id: number, number: number, padding: number): string;
  response(id: number, number: number, padding: number): string;
  /** The numbers in a span's attributes; -1 for a span without. */
  requestNumber(attributes: Readonly<Record<string, unknown>>): number;
  responseNumber(attributes: Readonly<Record<string, unknown>>): number;
}

/**
 * Bodies that begin like messages, at places where a record may be cut. Longer than any padding: whole
 * messages in a body, where a record begins after a loss, are believed, as the engine's head says.
 */
function bait(length: number): string {
  return "~Q\0\x01\0\0\0\x7f~A\0\x02\0\0\0\x7f".repeat(20).slice(0, length);
}

function toy(reusesIds: boolean): Writer {
  return {
    protocol: createToyProtocol(reusesIds),
    opening: [],
    ids: reusesIds ? 4 : 0xffff,
    inOrder: false,
    request: (id, number, padding) => toyFrame("Q", id, number, bait(padding)),
    response: (id, number, padding) => toyFrame("A", id, number, bait(padding)),
    requestNumber: (attributes) => Number(attributes["toy.request"]),
    responseNumber: (attributes) => Number(attributes["toy.response"]),
  };
}

function text32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255);
}

function sized(body: string): string {
  return text32(body.length) + body;
}

/** Heartbeats of the group that the number names; errors that have no name. */
const kafka: Writer = {
  protocol: KAFKA,
  opening: [],
  ids: 2 ** 31,
  inOrder: true,
  request: (id, number, padding) => {
    const group = `g${number}`;
    const header = `\0\x0c\0\0${text32(id)}\0\x06tester`;
    return sized(`${header}\0${String.fromCharCode(group.length)}${group}${bait(padding)}`);
  },
  response: (id, number, padding) =>
    sized(`${text32(id)}${text32(1000 + number).slice(2)}${bait(padding)}`),
  requestNumber: (attributes) =>
    Number(String(attributes["messaging.consumer.group.name"] ?? "g-1").slice(1)),
  responseNumber: (attributes) =>
    Number(/^error_(\d+)$/.exec(String(attributes["error.type"]))?.[1] ?? 999) - 1000,
};

/** Requests whose subject is the number, to an inbox of the id; errors of the server's own kind. */
const nats: Writer = {
  protocol: NATS,
  opening: [],
  ids: 2 ** 31,
  inOrder: false,
  request: (id, number, padding) =>
    `PUB n.${number} _INBOX.${id} ${padding}\r\n${bait(padding)}\r\n`,
  response: (id, number, padding) => {
    const head = `NATS/1.0 ${400 + number}\r\n\r\n`;
    const size = head.length + padding;
    return `HMSG _INBOX.${id} 1 ${head.length} ${size}\r\n${head}${bait(padding)}\r\n`;
  },
  requestNumber: (attributes) =>
    Number(String(attributes["messaging.destination.name"] ?? "n.-1").slice(2)),
  responseNumber: (attributes) => Number(attributes["error.type"] ?? 399) - 400,
};

/** Messages whose topic is the number, acknowledged with a reason that the standard does not have. */
const mqtt: Writer = {
  protocol: MQTT,
  opening: [
    { direction: RECEIVED, text: "\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c" },
    { direction: SENT, text: "\x20\x02\0\0" },
  ],
  ids: 4,
  inOrder: false,
  request: (id, number, padding) => {
    const topic = `n/${number}`;
    const body = `\0${String.fromCharCode(topic.length)}${topic}\0${String.fromCharCode(id + 1)}`;
    return `\x32${String.fromCharCode(body.length + padding)}${body}${bait(padding)}`;
  },
  response: (id, number, padding) => {
    const body = `\0${String.fromCharCode(id + 1, 0xc0 + number)}`;
    return `\x40${String.fromCharCode(body.length + padding)}${body}${bait(padding)}`;
  },
  requestNumber: (attributes) =>
    Number(/^n\/(\d+)$/.exec(String(attributes["messaging.destination.name"]))?.[1] ?? -1),
  responseNumber: (attributes) =>
    Number(/^reason_(\d+)$/.exec(String(attributes["error.type"]))?.[1] ?? 0xbf) - 0xc0,
};

function little32(value: number): string {
  return [...text32(value)].reverse().join("");
}

/** An OP_MSG of one document: an int32 that is named by the command or the error, and a padding. */
function mongodbMessage(ids: string, name: string, value: number, padding: number): string {
  const pad = bait(padding);
  const text = `\x02pad\0${little32(pad.length + 1)}${pad}\0`;
  const elements = `\x10${name}\0${little32(value)}${text}`;
  const body = `\0\0\0\0\0${little32(elements.length + 5)}${elements}\0`;
  return `${little32(body.length + 16)}${ids}${little32(2013)}${body}`;
}

const mongodb: Writer = {
  protocol: MONGODB,
  opening: [],
  ids: 2 ** 31,
  inOrder: false,
  request: (id, number, padding) =>
    mongodbMessage(`${little32(id + 1)}\0\0\0\0`, `c${number}`, 1, padding),
  response: (id, number, padding) =>
    mongodbMessage(`\x01\0\0\0${little32(id + 1)}`, "code", 1000 + number, padding),
  requestNumber: (attributes) =>
    Number(/^c(\d+)$/.exec(String(attributes["db.operation.name"]))?.[1] ?? -1),
  responseNumber: (attributes) => Number(attributes["db.response.status_code"] ?? 999) - 1000,
};

/** A request of version 4 is a query, a response an error. */
function cassandraFrame(version: string, opcode: string, id: number, body: string): string {
  return `${version}\0${text32(id).slice(2)}${opcode}${text32(body.length)}${body}`;
}

const cassandra: Writer = {
  protocol: CASSANDRA,
  opening: [],
  ids: 4,
  inOrder: false,
  request: (id, number, padding) => {
    const sql = `SELECT a FROM t${number} WHERE b = '${bait(padding)}'`;
    return cassandraFrame("\x04", "\x07", id, `${text32(sql.length)}${sql}\0\x01\0`);
  },
  response: (id, number, padding) =>
    cassandraFrame("\x84", "\0", id, `${text32(1000 + number)}\0\x04oops${bait(padding)}`),
  requestNumber: (attributes) =>
    Number(/^t(\d+)$/.exec(String(attributes["db.collection.name"]))?.[1] ?? -1),
  responseNumber: (attributes) => Number(attributes["db.response.status_code"] ?? 999) - 1000,
};

/** Commands about the topic that the number names; codes that have no name. */
const rocketmq: Writer = {
  protocol: ROCKETMQ,
  opening: [],
  ids: 2 ** 31,
  inOrder: false,
  request: (opaque, number, padding) =>
    rocketmqFrame({ code: 105, opaque, flag: 0, extFields: { topic: `n${number}` } }, padding),
  response: (opaque, number, padding) =>
    rocketmqFrame({ code: 1000 + number, opaque, flag: 1 }, padding),
  requestNumber: (attributes) =>
    Number(String(attributes["messaging.destination.name"] ?? "n-1").slice(1)),
  responseNumber: (attributes) =>
    Number(/^response_(\d+)$/.exec(String(attributes["error.type"]))?.[1] ?? 999) - 1000,
};

function rocketmqFrame(command: Readonly<Record<string, unknown>>, padding: number): string {
  const head = JSON.stringify(command);
  return sized(text32(head.length) + head + bait(padding));
}

/** Lookups of the topic that the number names; errors that have no name. */
const pulsar: Writer = {
  protocol: PULSAR,
  opening: [],
  ids: 2 ** 31,
  inOrder: false,
  request: (id, number, padding) => {
    const topic = `n${number}`;
    return pulsarFrame(
      23,
      `\x0a${String.fromCharCode(topic.length)}${topic}\x10${varint(id)}`,
      padding,
    );
  },
  response: (id, number, padding) =>
    pulsarFrame(24, `\x20${varint(id)}\x30${varint(1000 + number)}`, padding),
  requestNumber: (attributes) =>
    Number(String(attributes["messaging.destination.name"] ?? "n-1").slice(1)),
  responseNumber: (attributes) =>
    Number(/^error_(\d+)$/.exec(String(attributes["error.type"]))?.[1] ?? 999) - 1000,
};

function varint(value: number): string {
  return value < 128
    ? String.fromCharCode(value)
    : String.fromCharCode((value & 127) | 128) + varint(value >>> 7);
}

/** The payload of a command that has none is passed. */
function pulsarFrame(type: number, fields: string, padding: number): string {
  const command = `\x08${String.fromCharCode(type)}${varint(type * 8 + 2)}${varint(fields.length)}${fields}`;
  return sized(text32(command.length) + command + bait(padding));
}

interface Step {
  /** Answer the oldest but so many, or ask. */
  readonly answer: number | undefined;
  readonly padding: number;
}

const steps = fc.array(
  fc.record({ answer: fc.option(fc.nat(3), { nil: undefined }), padding: fc.nat(90) }),
  { minLength: 1, maxLength: 30 },
);
const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  minLength: 1,
  maxLength: 6,
});

/** Requests and responses in any order that ids allow; at the end all are answered. */
function converse(writer: Writer, script: readonly Step[]): Piece[] {
  const pieces = [...writer.opening];
  const open: { id: number; number: number }[] = [];
  let number = 0;
  let nextId = 0;
  const respond = (index: number, padding: number): void => {
    const [asked] = open.splice(index, 1);
    if (asked === undefined) return;
    pieces.push({ direction: SENT, text: writer.response(asked.id, asked.number, padding) });
  };
  for (const { answer, padding } of script) {
    if (answer !== undefined && open.length > 0) {
      respond(writer.inOrder ? 0 : answer % open.length, padding);
      continue;
    }
    if (open.length >= Math.min(writer.ids, 32)) respond(0, padding);
    while (open.some(({ id }) => id === nextId % writer.ids)) nextId++;
    const id = nextId++ % writer.ids;
    open.push({ id, number });
    pieces.push({ direction: RECEIVED, text: writer.request(id, number++, padding) });
  }
  while (open.length > 0) respond(writer.inOrder ? 0 : open.length - 1, 3);
  return pieces;
}

function play(writer: Writer, pieces: readonly Piece[], dropped = new Set<number>()): Observed {
  return playPieces(writer.protocol, OPTIONS, pieces, dropped);
}

/** How many exchanges have a response: each its own. */
function assertPaired(writer: Writer, observed: Observed): number {
  let paired = 0;
  for (const { attributes } of observed.ended) {
    const response = writer.responseNumber(attributes);
    const request = writer.requestNumber(attributes);
    if (response < 0 || request < 0) continue;
    assert.equal(response, request);
    paired++;
  }
  return paired;
}

for (const writer of [
  toy(false),
  toy(true),
  kafka,
  mqtt,
  nats,
  pulsar,
  rocketmq,
  mongodb,
  cassandra,
  ...CALL_WRITERS,
]) {
  describe(`${writer.protocol.name}, any conversation`, () => {
    it("gives the same exchanges however the bytes are cut", () => {
      const check = (script: readonly Step[], where: readonly number[]): void => {
        const pieces = converse(writer, script);
        const requests = pieces
          .slice(writer.opening.length)
          .filter((p) => p.direction === RECEIVED);
        const whole = play(writer, pieces);
        assert.equal(assertPaired(writer, whole), requests.length);
        const parts = play(writer, cut(pieces, where));
        const facts = (observed: Observed): unknown =>
          observed.ended.map(({ name, position, attributes }) => ({ name, position, attributes }));
        assert.deepEqual(facts(parts), facts(whole));
        assert.deepEqual(parts.losses, whole.losses);
      };
      fc.assert(fc.property(steps, fractions, check), { numRuns: RUNS });
    });

    it("never pairs wrongly when a record is lost, and goes on after it", () => {
      const check = (script: readonly Step[], where: readonly number[], drop: number): void => {
        const pieces = cut(converse(writer, script), where);
        assertPaired(writer, play(writer, pieces, new Set([drop % pieces.length])));
      };
      fc.assert(fc.property(steps, fractions, fc.nat(1000), check), { numRuns: RUNS * 3 });
    });

    it("never pairs wrongly when whole messages of both directions are lost", () => {
      const check = (script: readonly Step[], drops: readonly number[]): void => {
        const pieces = converse(writer, script);
        const dropped = drops.map((drop) => drop % pieces.length);
        assertPaired(writer, play(writer, pieces, new Set(dropped)));
      };
      const drops = fc.array(fc.nat(1000), { minLength: 1, maxLength: 6 });
      fc.assert(fc.property(steps, drops, check), { numRuns: RUNS * 3 });
    });

    it("pairs what it sees whole of a connection that is older", () => {
      const asked = { answer: undefined, padding: 5 };
      const pieces = converse(writer, [asked, asked, asked]).slice(writer.opening.length);
      const late = [...writer.opening, ...pieces, ...pieces, ...pieces];
      const missed = writer.opening.length + pieces.length;
      const observed = play(writer, late, new Set(late.map((_, index) => index).slice(0, missed)));
      // Whether a response is missing before the first one cannot be known.
      assert.ok(assertPaired(writer, observed) >= 3);
    });

    it("takes any bytes in any order", () => {
      const fragments = [
        writer.request(1, 1, 9),
        writer.response(1, 1, 9),
        writer.request(2, 2, 0),
      ];
      const part = fc.record({
        direction: fc.constantFrom<0 | 1>(RECEIVED, SENT),
        position: fc.nat(300),
        bytes: fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc.constantFrom(...fragments.map((text) => Buffer.from(text, "latin1"))),
        ),
        captured: fc.nat(60),
      });
      const check = (records: readonly Parameters<typeof toRecord>[0][]): void => {
        const observed = new Observed(writer.protocol, OPTIONS);
        records.forEach((fields, index) => {
          observed.parser.data(toRecord(fields, index));
        });
        observed.parser.close(1e6, 104);
        assert.equal(observed.openCount, 0);
        assert.ok(observed.parser.idle);
      };
      fc.assert(fc.property(fc.array(part, { maxLength: 30 }), check), { numRuns: RUNS * 3 });
    });
  });
}

function toRecord(
  fields: Omit<ConstructorParameters<typeof TestRecord>[0], "timeNs">,
  timeNs: number,
): TestRecord {
  return new TestRecord({ ...fields, timeNs });
}
