// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { ParserOptions } from "../../model/protocol.ts";
import { Observed, type SeenExchange, TEST_OPTIONS, TestRecord } from "../testing.ts";
import { laggingScripts, type Piece, type Script, scripts } from "./conversations.ts";
import { HTTP1 } from "./protocol.ts";

const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 300);
const OPTIONS: ParserOptions = { ...TEST_OPTIONS, responseHeaders: ["x-number"] };
const SIZE_RESPONSE = "http.response.body.size";
const SIZE_REQUEST = "http.request.body.size";

interface Cut {
  readonly piece: Piece;
  readonly start: number;
  readonly end: number;
  readonly captured: number;
}

/** Cuts every piece at the given fractions of its length. */
function cut(script: Script, fractions: readonly number[]): readonly Cut[] {
  const cuts: Cut[] = [];
  let next = 0;
  for (const piece of script.pieces) {
    let start = 0;
    while (start < piece.text.length) {
      const fraction = fractions[next++ % fractions.length] ?? 1;
      const rest = piece.text.length - start;
      const end = start + Math.max(1, Math.min(rest, Math.ceil(rest * fraction)));
      cuts.push({ piece, start, end, captured: end - start });
      start = end;
    }
  }
  return cuts;
}

function play(cuts: readonly Cut[], dropped = new Set<number>(), stepNs = 1): Observed {
  const observed = new Observed(HTTP1, OPTIONS);
  const positions = [0, 0];
  cuts.forEach(({ piece, start, end, captured }, index) => {
    const bytes = Buffer.from(piece.text.slice(start, end), "latin1");
    const position = positions[piece.direction] ?? 0;
    positions[piece.direction] = position + bytes.length;
    if (dropped.has(index)) return;
    const record = {
      direction: piece.direction,
      position,
      bytes,
      timeNs: (index + 1) * stepNs,
      captured,
    };
    observed.parser.data(new TestRecord(record));
  });
  return observed;
}

function withoutTimes(exchange: SeenExchange): unknown {
  const { timesNs, ...rest } = exchange;
  return rest;
}

function assertPaired(exchange: SeenExchange): void {
  const path = exchange.attributes["url.path"];
  const number = exchange.attributes["http.response.header.x-number"];
  assert.equal(path, `/numbered/n${String(number)}x`, JSON.stringify(exchange));
}

const fractions = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), {
  minLength: 1,
  maxLength: 40,
});

describe("HTTP/1 properties", () => {
  it("finds every exchange of a pipelined conversation", () => {
    const check = (script: Script): void => {
      const observed = play(cut(script, [1]));
      assert.equal(observed.ended.length, script.exchanges);
      assert.deepEqual([observed.losses, observed.abandoned], [[], []]);
      for (const exchange of observed.ended) assertPaired(exchange);
    };
    fc.assert(fc.property(scripts(4), check), { numRuns: RUNS });
    fc.assert(
      fc.property(laggingScripts, (script) => {
        const observed = play(cut(script, [1]));
        assert.equal(observed.ended.length, script.exchanges);
      }),
      { numRuns: RUNS },
    );
  });

  it("gives the same exchanges wherever the stream is cut into records", () => {
    const check = (script: Script, where: readonly number[]): void => {
      const whole = play(cut(script, [1]));
      const parts = play(cut(script, where));
      assert.deepEqual(parts.ended.map(withoutTimes), whole.ended.map(withoutTimes));
      assert.deepEqual([parts.losses, parts.abandoned], [[], []]);
    };
    fc.assert(fc.property(scripts(3), fractions, check), { numRuns: RUNS });
  });

  it("gives the same exchanges byte by byte", () => {
    const check = (script: Script): void => {
      const whole = play(cut(script, [1]));
      const parts = play(cut(script, [0.0001]));
      assert.deepEqual(parts.ended.map(withoutTimes), whole.ended.map(withoutTimes));
    };
    fc.assert(fc.property(scripts(3), check), { numRuns: 50 });
  });

  it("needs no more of a message than its head, if requests are not pipelined", () => {
    const check = (script: Script, extra: readonly number[]): void => {
      const cuts = cut(script, [1]).map((entry, index) => {
        const captured = entry.piece.headBytes + (extra[index % extra.length] ?? 0);
        return { ...entry, captured: Math.min(captured, entry.end) };
      });
      const whole = play(cut(script, [1]));
      const parts = play(cuts);
      const comparable = (exchange: SeenExchange): unknown => {
        const { [SIZE_RESPONSE]: _, [SIZE_REQUEST]: __, ...attributes } = exchange.attributes;
        return { position: exchange.position, attributes };
      };
      const expected = whole.ended.map(comparable);
      // The end of the last response may be one that only the next request would show.
      parts.parser.close(1000, 0);
      assert.deepEqual(parts.ended.map(comparable), expected);
      for (const exchange of parts.ended) assertPaired(exchange);
    };
    const extras = fc.array(fc.nat(80), { minLength: 1, maxLength: 20 });
    fc.assert(fc.property(scripts(1), extras, check), { numRuns: RUNS });
  });

  it("never pairs a response with another request when records are lost", () => {
    const check = (script: Script, where: readonly number[], drops: readonly number[]): void => {
      const cuts = cut(script, where);
      const observed = play(cuts, new Set(drops.map((drop) => drop % cuts.length)));
      observed.parser.close(1e6, 0);
      for (const exchange of observed.ended) {
        if (exchange.attributes["http.response.status_code"] !== undefined) assertPaired(exchange);
      }
      assert.equal(observed.openCount, 0);
    };
    const drops = fc.array(fc.nat(10_000), { minLength: 1, maxLength: 8 });
    fc.assert(fc.property(scripts(1), fractions, drops, check), { numRuns: RUNS * 3 });
  });

  it("never pairs wrongly when one record of a pipelined conversation is lost", () => {
    const check = (script: Script, where: readonly number[], drop: number): void => {
      const cuts = cut(script, where);
      const observed = play(cuts, new Set([drop % cuts.length]));
      observed.parser.close(1e6, 0);
      for (const exchange of observed.ended) {
        if (exchange.attributes["http.response.status_code"] !== undefined) assertPaired(exchange);
      }
    };
    fc.assert(fc.property(scripts(4), fractions, fc.nat(10_000), check), { numRuns: RUNS * 3 });
    fc.assert(fc.property(laggingScripts, fractions, fc.nat(10_000), check), {
      numRuns: RUNS * 3,
    });
  });

  it("finds the next exchange again after a loss and silence, if requests are not pipelined", () => {
    const check = (before: Script, after: Script, drop: number): void => {
      const pieces = [...before.pieces, ...after.pieces, ...after.pieces];
      const cuts = cut({ pieces, exchanges: 0 }, [1]);
      // Without silence, a lost response cannot be told from overlap.
      const observed = play(cuts, new Set([drop % before.pieces.length]), 1e9);
      // One exchange is lost with the record, and at most two more until the place is proved.
      const total = before.exchanges + 2 * after.exchanges;
      assert.ok(observed.ended.length >= total - 3, `${observed.ended.length} of ${total}`);
    };
    fc.assert(fc.property(scripts(1), scripts(1), fc.nat(100), check), { numRuns: RUNS });
  });

  it("takes any bytes in any order", () => {
    const record = fc.record({
      direction: fc.constantFrom<0 | 1>(0, 1),
      position: fc.nat(500),
      bytes: fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(...fragments())),
      captured: fc.nat(60),
    });
    const check = (
      records: readonly {
        direction: 0 | 1;
        position: number;
        bytes: Uint8Array;
        captured: number;
      }[],
    ): void => {
      const observed = new Observed(HTTP1, OPTIONS);
      records.forEach((fields, index) => {
        observed.parser.data(new TestRecord({ ...fields, timeNs: index }));
      });
      observed.parser.close(1e6, 104);
      assert.equal(observed.openCount, 0);
    };
    fc.assert(fc.property(fc.array(record, { maxLength: 30 }), check), { numRuns: RUNS * 3 });
  });
});

function fragments(): readonly Uint8Array[] {
  return [
    "GET / HTTP/1.1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\n\r\n",
  ].map((text) => Buffer.from(text, "latin1"));
}
