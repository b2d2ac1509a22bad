// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type ConnectionParser,
  type DataRecord,
  type Detection,
  type Direction,
  type ExchangeEvents,
  type Protocol,
  RECEIVED,
  SENT,
} from "../model/protocol.ts";
import {
  createDetectingParser,
  type DetectingParser,
  type DetectionEndpoint,
} from "./detection.ts";
import { HTTP1 } from "./http1/protocol.ts";
import { POSTGRESQL } from "./postgresql/protocol.ts";
import { REDIS } from "./redis/protocol.ts";
import { Observed, TestRecord } from "./testing.ts";

const ANYWHERE: DetectionEndpoint = { localPort: 40_000, remotePort: 50_000, transport: "tcp" };

class Detected {
  readonly observed: Observed;
  readonly #made: DetectingParser[] = [];
  readonly #positions: [number, number] = [0, 0];
  #timeNs = 0;

  constructor(endpoint: Partial<DetectionEndpoint> = {}) {
    const wrapped: Protocol = {
      name: "detected",
      detect: () => "no",
      createParser: (options, events): ConnectionParser => {
        const parser = createDetectingParser(options, events, { ...ANYWHERE, ...endpoint });
        this.#made.push(parser);
        return parser;
      },
    };
    this.observed = new Observed(wrapped);
  }

  get parser(): DetectingParser {
    const [parser] = this.#made;
    assert.ok(parser);
    return parser;
  }

  get name(): string | undefined {
    return this.parser.protocol?.name;
  }

  feed(direction: Direction, text: string): this {
    this.#timeNs += 1000;
    const bytes = Buffer.from(text, "latin1");
    const position = this.#positions[direction];
    this.parser.data(new TestRecord({ direction, position, bytes, timeNs: this.#timeNs }));
    this.#positions[direction] += bytes.length;
    return this;
  }

  /** Bytes of the stream that were before anybody looked. */
  skip(direction: Direction, count: number): this {
    this.#positions[direction] += count;
    return this;
  }

  close(): this {
    this.parser.close(this.#timeNs + 1000, 0);
    return this;
  }
}

function int32(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function message(type: string, body: string): string {
  return type + int32(body.length + 4) + body;
}

const HTTP_REQUEST = "GET /orders HTTP/1.1\r\nHost: shop\r\n\r\n";
const HTTP_RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** One request and its response, by protocol. */
const SPOKEN: readonly (readonly [Protocol, string, string])[] = [
  [HTTP1, HTTP_REQUEST, HTTP_RESPONSE],
  [REDIS, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$1\r\nv\r\n"],
  [
    POSTGRESQL,
    message("Q", "SELECT 1\0"),
    message("T", "\0\0") + message("C", "SELECT 1\0") + message("Z", "I"),
  ],
];

describe("detection", () => {
  for (const [protocol, request, response] of SPOKEN) {
    it(`finds ${protocol.name} from the server's side and from the client's`, () => {
      for (const requests of [RECEIVED, SENT] as const) {
        const responses = requests === RECEIVED ? SENT : RECEIVED;
        const seen = new Detected().feed(requests, request).feed(responses, response).close();
        assert.equal(seen.name, protocol.name);
        assert.equal(seen.parser.verdict, "found");
        assert.deepEqual(
          seen.observed.ended.map(({ role }) => role),
          [requests === RECEIVED ? "server" : "client"],
        );
      }
    });

    it(`gives for ${protocol.name} what its own parser gives, however the stream is cut`, () => {
      const cuts = fc.array(fc.nat(request.length + response.length), { maxLength: 12 });
      fc.assert(
        fc.property(cuts, (places) => {
          const direct = new Observed(protocol);
          const detecting = new Detected();
          let timeNs = 0;
          for (const { direction, position, bytes } of conversation(request, response, places)) {
            timeNs += 1000;
            const record = new TestRecord({ direction, position, bytes, timeNs });
            direct.parser.data(record);
            detecting.parser.data(record);
          }
          direct.parser.close(timeNs, 0);
          detecting.parser.close(timeNs, 0);
          assert.deepEqual(detecting.observed.ended, direct.ended);
          assert.equal(detecting.observed.ended.length, 2);
        }),
        { numRuns: 200 },
      );
    });
  }

  it("is sure of nothing by bytes that no protocol has, and keeps nothing of them", () => {
    let state = 1;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    };
    for (let connection = 0; connection < 300; connection++) {
      const seen = new Detected();
      for (let turn = 0; turn < 17; turn++) {
        const length = 24 + (random() % 100);
        const text = String.fromCharCode(...Array.from({ length }, random));
        seen.feed(turn % 2 === 0 ? RECEIVED : SENT, text);
      }
      assert.equal(seen.parser.verdict, "unknown", `taken for ${seen.name}`);
      assert.equal(seen.parser.idle, true);
      assert.deepEqual(new Set(seen.observed.losses), new Set(["unknown_protocol"]));
      assert.equal(seen.observed.losses.length, 17, "each record is counted once");
    }
  });

  it("never throws and holds a bounded number of records, whatever comes", () => {
    const record = fc.record({
      direction: fc.constantFrom<Direction>(RECEIVED, SENT),
      bytes: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.constantFrom(...SPOKEN.flatMap(([, a, b]) => [Buffer.from(a), Buffer.from(b)])),
      ),
      skipped: fc.constantFrom(0, 0, 0, 7),
      captured: fc.nat(300),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 60 }), (records) => {
        const seen = new Detected({ localPort: 6379 });
        const positions = [0, 0];
        let timeNs = 0;
        for (const { direction, bytes, skipped, captured } of records) {
          timeNs += 1000;
          const position = (positions[direction] ?? 0) + skipped;
          positions[direction] = position + bytes.length;
          const fields = { direction, position, bytes, timeNs, captured };
          seen.parser.data(new TestRecord(fields));
        }
        seen.parser.close(timeNs, 0);
        assert.equal(seen.observed.openCount, 0);
      }),
      { numRuns: 300 },
    );
  });

  it("finds a protocol at the next message when it meets a connection inside one", () => {
    const seen = new Detected().feed(RECEIVED, "of a body that began long ago, \x01\x02\x03 and");
    seen.feed(SENT, HTTP_RESPONSE).feed(RECEIVED, HTTP_REQUEST).feed(SENT, HTTP_RESPONSE).close();
    assert.equal(seen.name, "http1");
    assert.equal(seen.observed.ended.length, 1);
  });

  it("finds a protocol in a one-way flow that it meets in mid-stream", () => {
    const push: Protocol = fake("push", {
      detect: (bytes, at) => (bytes[at] === 0x4d && bytes[at + 1] === 0x53 ? "yes" : "no"),
    });
    const seen = new Detected({ protocols: [push] }).skip(RECEIVED, 1000);
    seen.feed(RECEIVED, "the rest of a message").feed(RECEIVED, "MSG subject 1 5 hello");
    assert.equal(seen.name, "push");
    const fromStart = new Detected({ protocols: [push] });
    fromStart.feed(RECEIVED, "a message that goes on with ").feed(RECEIVED, "MSG");
    assert.equal(fromStart.parser.verdict, "undecided");
  });

  it("knows TLS by its first records and by those of an established session", () => {
    const hello = `\x16\x03\x01\x00\x50\x01\x00\x00\x4c\x03\x03${"r".repeat(74)}`;
    const later = `\x17\x03\x03\x00\x30${"e".repeat(48)}`;
    for (const text of [hello, later]) {
      const seen = new Detected().feed(SENT, text);
      assert.equal(seen.parser.verdict, "tls");
      assert.deepEqual(seen.feed(RECEIVED, later).observed.losses, [
        "unknown_protocol",
        "unknown_protocol",
      ]);
    }
  });
});

describe("detection by what the user says", () => {
  it("follows a fixed protocol without looking, and forbids others", () => {
    const fixed = new Detected({ only: "redis" });
    assert.equal(fixed.name, "redis");
    fixed.feed(RECEIVED, "PING\r\n").feed(SENT, "+PONG\r\n").close();
    assert.equal(fixed.observed.ended.length, 1);
    const without = new Detected({ forbidden: ["http1"] }).feed(RECEIVED, HTTP_REQUEST);
    assert.equal(without.parser.verdict, "undecided");
    assert.equal(without.close().parser.verdict, "unknown");
  });

  it("refuses a protocol that does not exist", () => {
    assert.throws(() => new Detected({ only: "telepathy" }), /no protocol "telepathy"/);
  });
});

describe("detection among protocols that look alike", () => {
  it("counts a weak guess on the protocol's ports only", () => {
    const weak = fake("weak", { detect: () => "weak", ports: [7000] });
    const anywhere = new Detected({ protocols: [weak] }).feed(RECEIVED, "x");
    assert.equal(anywhere.parser.verdict, "undecided");
    assert.equal(new Detected({ protocols: [weak], localPort: 7000 }).feed(SENT, "x").name, "weak");
    assert.equal(
      new Detected({ protocols: [weak], remotePort: 7000 }).feed(SENT, "x").name,
      "weak",
    );
  });

  it("prefers the sure one to the weak one, then the one whose port it is", () => {
    const weak = fake("weak", { detect: () => "weak", ports: [7000] });
    const sure = fake("sure", { detect: () => "yes" });
    const here = fake("here", { detect: () => "yes", ports: [7000] });
    const first = { localPort: 7000, protocols: [weak, sure] };
    assert.equal(new Detected(first).feed(RECEIVED, "x").name, "sure");
    const second = { localPort: 7000, protocols: [weak, sure, here] };
    assert.equal(new Detected(second).feed(RECEIVED, "x").name, "here");
  });

  it("lets the other direction decide between equals", () => {
    const one = fake("one", { detect: (bytes, at) => (bytes[at] === 0x71 ? "yes" : "no") });
    const two = fake("two", { detect: (bytes, at) => (bytes[at] === 0x78 ? "no" : "yes") });
    const seen = new Detected({ protocols: [one, two] }).feed(RECEIVED, "q");
    assert.equal(seen.parser.verdict, "undecided");
    assert.equal(seen.feed(SENT, "r").name, "two");
    const alone = new Detected({ protocols: [one, two] }).feed(RECEIVED, "q").close();
    assert.equal(alone.name, "one", "the registry's order, when nothing more comes");
  });

  it("takes one of two equals before it loses what waits", () => {
    const seen: number[] = [];
    const one = fake("one", {
      detect: () => "yes",
      createParser: () => ({
        idle: true,
        data: (record) => void seen.push(record.position),
        close: () => undefined,
      }),
    });
    const detected = new Detected({ protocols: [one, fake("two", { detect: () => "yes" })] });
    for (let index = 0; index < 40; index++) detected.feed(RECEIVED, "x");
    assert.equal(detected.name, "one");
    assert.deepEqual(
      seen,
      Array.from({ length: 40 }, (_, index) => index),
    );
    assert.deepEqual(detected.observed.losses, []);
  });

  it("withdraws a guess whose parser finds no message in it, and tries without it", () => {
    const wrong = fake("wrong", {
      detect: () => "yes",
      createParser: (_options, events) => ({
        idle: true,
        data: () => events.lost("malformed"),
        close: () => undefined,
      }),
    });
    const seen = new Detected({ protocols: [wrong, HTTP1] });
    for (let index = 0; index < 4; index++) {
      seen.feed(RECEIVED, HTTP_REQUEST).feed(SENT, HTTP_RESPONSE);
    }
    assert.equal(seen.name, "http1");
    assert.equal(seen.observed.losses.filter((reason) => reason === "malformed").length, 3);
    assert.equal(seen.observed.ended.length, 2);
  });
});

describe("detection in datagrams", () => {
  it("asks only protocols that are spoken in datagrams, about each of them", () => {
    const seen: number[] = [];
    const datagrams = {
      detect: (bytes: Uint8Array, at: number): Detection => (bytes[at] === 0x64 ? "yes" : "no"),
      createParser: () => ({
        idle: true,
        data: (record: DataRecord) => void seen.push(record.length),
        close: () => undefined,
      }),
    };
    const spoken = fake("spoken", { detect: () => "no", datagrams });
    const protocols = [fake("stream", { detect: () => "yes" }), spoken];
    const one = new Detected({ protocols, transport: "udp" });
    one.feed(RECEIVED, "xy");
    assert.equal(one.parser.verdict, "undecided");
    one.feed(RECEIVED, "dns").feed(SENT, "answer");
    assert.equal(one.name, "spoken");
    assert.deepEqual(seen, [2, 3, 6]);
  });
});

function fake(name: string, fields: Partial<Protocol> & Pick<Protocol, "detect">): Protocol {
  const createParser = (_options: unknown, _events: ExchangeEvents): ConnectionParser => ({
    idle: true,
    data: () => undefined,
    close: () => undefined,
  });
  return { name, createParser, ...fields };
}

interface Piece {
  readonly direction: Direction;
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Two exchanges of which the first is cut at `places`. */
function conversation(request: string, response: string, places: readonly number[]): Piece[] {
  const pieces: Piece[] = [];
  const add = (direction: Direction, text: string, offset: number, base: number): void => {
    const inside = places.filter((place) => place > offset && place < offset + text.length);
    const ends = [...new Set(inside.map((place) => place - offset))].sort((a, b) => a - b);
    let from = 0;
    for (const end of [...ends, text.length]) {
      const bytes = Buffer.from(text.slice(from, end), "latin1");
      pieces.push({ direction, position: base + from, bytes });
      from = end;
    }
  };
  add(RECEIVED, request, 0, 0);
  add(SENT, response, request.length, 0);
  add(RECEIVED, request, Number.MAX_SAFE_INTEGER, request.length);
  add(SENT, response, Number.MAX_SAFE_INTEGER, response.length);
  return pieces;
}
