// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Direction, RECEIVED, SENT } from "../../model/protocol.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "../testing.ts";
import { HTTP2 } from "./protocol.ts";
import {
  byIndex,
  data,
  END_STREAM_FLAG,
  fields,
  frame,
  headers,
  indexedField,
  PREFACE_TEXT,
  settings,
  TYPES,
} from "./testing.ts";

const RUNS = 300;
const OPTIONS = { ...TEST_OPTIONS, pipelinedMax: 64 };
const FIRST_DYNAMIC = 62;
/** Entries that the encoder below reuses: few enough for a table of 4096 bytes. */
const REUSED_MAX = 20;

interface Piece {
  readonly direction: Direction;
  readonly text: string;
}

/** Writes a field with its value into the table, or by its index when it is there. */
class Encoder {
  readonly #entries: string[] = [];

  field(name: string, value: string): string {
    const index = this.#entries.indexOf(`${name} ${value}`);
    if (index >= 0 && index < REUSED_MAX) return byIndex(FIRST_DYNAMIC + index);
    this.#entries.unshift(`${name} ${value}`);
    return indexedField(name, value);
  }
}

/** A body with frames in it that nobody may believe: streams that are not, and a table's size. */
function bait(length: number): string {
  const text = headers(999, fields({ ":status": "599", ":path": "/wrong", ":method": "GET" }), 1);
  return `..${text.repeat(Math.ceil(length / text.length))}`.slice(0, length);
}

interface Exchange {
  /** The path's number, and what is added to 200 for the status. */
  readonly number: number;
  readonly padding: number;
  readonly body: boolean;
  /** Where among the open streams it is answered. */
  readonly turn: number;
}

/** Requests with up to three open at once; each path has a status of its own. */
function conversation(exchanges: readonly Exchange[]): Piece[] {
  const requests = new Encoder();
  const responses = new Encoder();
  const pieces: Piece[] = [
    { direction: RECEIVED, text: PREFACE_TEXT + settings() },
    { direction: SENT, text: settings() },
  ];
  const open: { readonly id: number; readonly exchange: Exchange }[] = [];
  const answer = (index: number): void => {
    const [next] = open.splice(index % open.length, 1);
    if (next === undefined) return;
    const { id, exchange } = next;
    const block = responses.field(":status", String(200 + exchange.number));
    const head = headers(id, block, exchange.body ? 0 : END_STREAM_FLAG);
    pieces.push({ direction: SENT, text: head });
    if (!exchange.body) return;
    pieces.push({ direction: SENT, text: data(id, bait(exchange.padding), END_STREAM_FLAG) });
  };
  exchanges.forEach((exchange, index) => {
    const id = 2 * index + 1;
    const path = requests.field(":path", `/n${exchange.number}x`);
    const block = byIndex(2) + byIndex(6) + path;
    pieces.push({ direction: RECEIVED, text: headers(id, block, END_STREAM_FLAG) });
    if (exchange.turn % 5 === 0) {
      pieces.push({ direction: SENT, text: frame(TYPES.ping, 0, 0, "12345678") });
    }
    open.push({ id, exchange });
    if (open.length === 3) answer(exchange.turn);
  });
  while (open.length > 0) answer(0);
  return pieces;
}

function cut(pieces: readonly Piece[], fractions: readonly number[]): Piece[] {
  return pieces.flatMap(({ direction, text }, index) => {
    const at = Math.floor(text.length * (fractions[index % fractions.length] ?? 1));
    return [text.slice(0, at), text.slice(at)]
      .filter((part) => part !== "")
      .map((part) => ({ direction, text: part }));
  });
}

interface Fate {
  readonly dropped?: number;
  readonly first?: number;
  readonly captured?: number;
}

function play(pieces: readonly Piece[], fate: Fate = {}): Observed {
  const observed = new Observed(HTTP2, { ...OPTIONS });
  const positions = [0, 0];
  pieces.forEach(({ direction, text }, index) => {
    const bytes = Buffer.from(text, "latin1");
    const position = positions[direction] ?? 0;
    positions[direction] = position + bytes.length;
    if (index === fate.dropped || index < (fate.first ?? 0)) return;
    const record = { direction, position, bytes, timeNs: 1000 * (index + 1) };
    const captured = fate.captured ?? bytes.length;
    observed.parser.data(new TestRecord({ ...record, captured }));
  });
  observed.parser.close(1e6, 104);
  assert.equal(observed.openCount, 0);
  return observed;
}

/** Every span's path and status belong together, where both are known. Returns how many are. */
function assertPaired(observed: Observed): number {
  let known = 0;
  for (const { attributes } of observed.ended) {
    const path = attributes["url.path"];
    const status = attributes["http.response.status_code"];
    if (path === undefined || status === undefined) continue;
    known++;
    assert.equal(Number(status) - 200, Number(/^\/n(\d+)x$/.exec(String(path))?.[1]));
  }
  return known;
}

const exchanges = fc.array(
  fc.record({
    number: fc.nat(30),
    padding: fc.nat(200),
    body: fc.boolean(),
    turn: fc.nat(9),
  }),
  { minLength: 1, maxLength: 20 },
);
const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  minLength: 1,
  maxLength: 6,
});

describe("HTTP/2, any conversation", () => {
  it("gives the same exchanges however the bytes are cut", () => {
    const check = (list: readonly Exchange[], where: readonly number[]): void => {
      const pieces = conversation(list);
      const whole = play(pieces);
      assert.equal(assertPaired(whole), list.length);
      assert.deepEqual(whole.losses, []);
      const parts = play(cut(pieces, where));
      assert.deepEqual(
        parts.ended.map(({ name, position, attributes }) => ({ name, position, attributes })),
        whole.ended.map(({ name, position, attributes }) => ({ name, position, attributes })),
      );
    };
    fc.assert(fc.property(exchanges, fractions, check), { numRuns: RUNS });
  });

  it("never tells a wrong path or status when a record is lost", () => {
    const check = (list: readonly Exchange[], where: readonly number[], drop: number): void => {
      const pieces = cut(conversation(list), where);
      assertPaired(play(pieces, { dropped: drop % pieces.length }));
    };
    fc.assert(fc.property(exchanges, fractions, fc.nat(1000), check), { numRuns: RUNS * 3 });
  });

  it("never tells a wrong path or status when it comes in later", () => {
    const check = (list: readonly Exchange[], where: readonly number[], first: number): void => {
      const pieces = cut(conversation(list), where);
      assertPaired(play(pieces, { first: first % pieces.length }));
    };
    fc.assert(fc.property(exchanges, fractions, fc.nat(1000), check), { numRuns: RUNS * 3 });
  });

  it("never tells a wrong path or status when calls are captured in part", () => {
    const check = (list: readonly Exchange[], captured: number): void => {
      assertPaired(play(conversation(list), { captured }));
    };
    fc.assert(fc.property(exchanges, fc.integer({ min: 9, max: 120 }), check), { numRuns: RUNS });
  });

  it("takes any bytes in any order", () => {
    const fragments = conversation([
      { number: 1, padding: 9, body: true, turn: 0 },
      { number: 2, padding: 0, body: false, turn: 1 },
    ]);
    const part = fc.record({
      direction: fc.constantFrom<0 | 1>(RECEIVED, SENT),
      position: fc.nat(300),
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc.constantFrom(...fragments.map(({ text }) => Buffer.from(text, "latin1"))),
      ),
      captured: fc.nat(60),
    });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), (records) => {
        const observed = new Observed(HTTP2, { ...OPTIONS });
        records.forEach((record, index) => {
          observed.parser.data(new TestRecord({ ...record, timeNs: index }));
        });
        observed.parser.close(1e6, 104);
        assert.equal(observed.openCount, 0);
        assert.ok(observed.parser.idle);
      }),
      { numRuns: RUNS * 3 },
    );
  });
});
