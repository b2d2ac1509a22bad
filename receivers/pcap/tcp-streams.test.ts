// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ACK, FIN, Segment, SYN, TCP } from "./segment.ts";
import { createStreamCounts, type Side, type StreamCounts, TcpStreams } from "./tcp-streams.ts";

const MS = 1e6;
const LIMITS = { reorderWaitNs: 200 * MS, heldBytesMax: 64 * 1024 };

interface Fields {
  readonly side: Side;
  readonly sequence: number;
  readonly acknowledged: number;
  readonly text?: string;
  readonly flags?: number;
  readonly timeNs?: number;
}

function segmentOf({
  sequence,
  acknowledged,
  text = "",
  flags = ACK,
  timeNs = MS,
}: Fields): Segment {
  const segment = new Segment();
  segment.protocol = TCP;
  segment.sequence = sequence >>> 0;
  segment.acknowledged = acknowledged >>> 0;
  segment.flags = flags;
  segment.bytes = Buffer.from(`..${text}..`, "latin1");
  segment.start = 2;
  segment.length = text.length;
  segment.captured = text.length;
  segment.timeNs = timeNs;
  return segment;
}

/** What a parser is given: `side@position text`, contiguous bytes of one side joined. */
class Reading {
  readonly counts: StreamCounts = createStreamCounts();
  readonly pieces: { side: Side; position: number; text: string; timeNs: number }[] = [];
  readonly streams: TcpStreams;

  constructor(limits = LIMITS) {
    this.streams = new TcpStreams(limits, this.counts, (bytes) => {
      const { side, position, start, captured, timeNs } = bytes;
      const text = Buffer.from(bytes.bytes.subarray(start, start + captured)).toString("latin1");
      const last = this.pieces.at(-1);
      if (last?.side === side && last.position + last.text.length === position) last.text += text;
      else this.pieces.push({ side, position, text, timeNs });
    });
  }

  add(...all: readonly Fields[]): this {
    for (const fields of all) this.streams.add(fields.side, segmentOf(fields));
    return this;
  }

  get told(): readonly string[] {
    return this.pieces.map(({ side, position, text }) => `${side}@${position} ${text}`);
  }
}

const C = 1000;
const S = 5000;
const HANDSHAKE: readonly Fields[] = [
  { side: 0, sequence: C - 1, acknowledged: 0, flags: SYN },
  { side: 1, sequence: S - 1, acknowledged: C, flags: SYN | ACK },
  { side: 0, sequence: C, acknowledged: S },
];

test("bytes in order are handed on at once, from the byte after the SYN", () => {
  const reading = new Reading().add(...HANDSHAKE);
  reading.add({ side: 0, sequence: C, acknowledged: S, text: "ask" });
  reading.add({ side: 1, sequence: S, acknowledged: C + 3, text: "answer" });
  assert.deepEqual(reading.told, ["0@0 ask", "1@0 answer"]);
  assert.deepEqual([reading.streams.startSequence(0), reading.streams.startSequence(1)], [C, S]);
});

test("of bytes that come twice with another content the first are taken", () => {
  const reading = new Reading().add(...HANDSHAKE);
  reading.add({ side: 0, sequence: C + 3, acknowledged: S, text: "DEF" });
  reading.add({ side: 0, sequence: C + 1, acknowledged: S, text: "bcxxx!" });
  reading.add({ side: 0, sequence: C, acknowledged: S, text: "ayyyyyyyz" });
  assert.deepEqual(reading.told, ["0@0 abcDEF!yz"]);
  assert.equal(reading.counts.repeatedBytes, 3 + 6);
});

test("a hole that the other side has acknowledged is given up after the wait, not before", () => {
  const reading = new Reading().add(...HANDSHAKE);
  reading.add({ side: 0, sequence: C + 5, acknowledged: S, text: "later", timeNs: 10 * MS });
  reading.add({ side: 1, sequence: S, acknowledged: C + 10, timeNs: 11 * MS });
  reading.streams.check(200 * MS);
  assert.deepEqual(reading.told, []);
  reading.streams.check(211 * MS);
  assert.deepEqual(reading.told, ["0@5 later"]);
  assert.deepEqual([reading.counts.gaps, reading.counts.gapBytes], [1, 5]);
});

test("a hole that nobody has acknowledged is filled by the retransmission, with its time", () => {
  const reading = new Reading().add(...HANDSHAKE);
  reading.add({ side: 0, sequence: C + 5, acknowledged: S, text: "later", timeNs: 10 * MS });
  reading.streams.check(5000 * MS);
  assert.deepEqual(reading.told, []);
  reading.add({ side: 0, sequence: C, acknowledged: S, text: "first", timeNs: 5001 * MS });
  assert.deepEqual(reading.told, ["0@0 firstlater"]);
  reading.add({ side: 1, sequence: S, acknowledged: C + 10, text: "x", timeNs: 5002 * MS });
  assert.deepEqual(
    reading.pieces.map(({ timeNs }) => timeNs),
    [5001 * MS, 5002 * MS],
  );
});

test("what waits is bounded: then the hole is given up", () => {
  const reading = new Reading({ ...LIMITS, heldBytesMax: 1000 }).add(...HANDSHAKE);
  for (let at = 0; at < 30; at++) {
    const sequence = C + 1 + 100 * at;
    reading.add({ side: 0, sequence, acknowledged: S, text: "x".repeat(100) });
    assert.ok(reading.counts.heldBytes <= 1100);
  }
  assert.equal(reading.counts.gapBytes, 1);
  assert.equal(reading.counts.heldBytes, 0);
});

test("in a capture of one direction everything comes, late and with gaps in the other", () => {
  const reading = new Reading();
  reading.add({ side: 0, sequence: C, acknowledged: S, text: "one" });
  reading.add({ side: 0, sequence: C + 3, acknowledged: S + 50, text: "two" });
  reading.add({ side: 0, sequence: C + 6, acknowledged: S + 90, text: "three" });
  reading.streams.flush();
  assert.deepEqual(reading.told, ["0@0 onetwothree"]);
  assert.equal(reading.counts.gapBytes, 90);
});

test("acknowledgements of what neither side has sent do not stop the reading", () => {
  const reading = new Reading().add(...HANDSHAKE);
  reading.add({ side: 0, sequence: C + 10, acknowledged: S + 30, text: "a" });
  reading.add({ side: 1, sequence: S + 20, acknowledged: C + 30, text: "b" });
  reading.streams.flush();
  assert.deepEqual(reading.told, ["0@10 a", "1@20 b"].toSorted());
});

test("both ends are known when all before them was handed on", () => {
  const reading = new Reading().add(...HANDSHAKE);
  reading.add({ side: 0, sequence: C + 2, acknowledged: S, flags: FIN | ACK });
  reading.add({ side: 1, sequence: S, acknowledged: C + 3, flags: FIN | ACK });
  assert.equal(reading.streams.isEnded, false);
  reading.add({ side: 0, sequence: C, acknowledged: S, text: "ab" });
  assert.equal(reading.streams.isEnded, true);
});

test("another SYN, or numbers of another window again and again, are another connection", () => {
  const { streams } = new Reading().add(...HANDSHAKE);
  const syn = (sequence: number): Segment =>
    segmentOf({ side: 0, sequence, acknowledged: 0, flags: SYN });
  assert.equal(streams.isAnother(0, syn(C - 1)), false);
  assert.equal(streams.isAnother(0, syn(77)), true);
  const far = segmentOf({ side: 0, sequence: C + 2 ** 31, acknowledged: S, text: "far" });
  assert.deepEqual(
    [1, 2, 3].map(() => streams.isAnother(0, far)),
    [false, false, true],
  );
});

/** A conversation: whose turn, and what is said. */
const turns = fc.array(
  fc.tuple(
    fc.constantFrom<Side>(0, 1),
    fc.string({ minLength: 1, maxLength: 40, unit: "binary-ascii" }),
  ),
  {
    minLength: 1,
    maxLength: 12,
  },
);

/** Its segments, cut after every `cut` bytes, numbers starting so that they wrap around. */
function conversation(said: readonly (readonly [Side, string])[], cut: number): Fields[] {
  const next: [number, number] = [0xfffffff0, 0xffffffe8];
  const fields: Fields[] = [
    { side: 0, sequence: next[0] - 1, acknowledged: 0, flags: SYN },
    { side: 1, sequence: next[1] - 1, acknowledged: next[0], flags: SYN | ACK },
  ];
  for (const [side, text] of said) {
    for (let at = 0; at < text.length; at += cut) {
      const piece = text.slice(at, at + cut);
      fields.push({
        side,
        sequence: next[side],
        acknowledged: next[side === 0 ? 1 : 0],
        text: piece,
      });
      next[side] += piece.length;
    }
  }
  return fields;
}

test("segments in any order within a window, repeated and split, give the same bytes in the same order", () => {
  fc.assert(
    fc.property(
      turns,
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.nat({ max: 1000 }), { minLength: 80, maxLength: 80 }),
      fc.integer({ min: 0, max: 8 }),
      (said, cut, keys, window) => {
        const plain = new Reading().add(...conversation(said, 1000)).told;
        const [syn, synAck, ...data] = conversation(said, cut);
        assert.ok(syn && synAck);
        // Each segment, and now and then a copy, up to `window` places later than it was sent.
        const shuffled = data
          .flatMap((fields, at) => {
            const key = keys[at % keys.length] ?? 0;
            const late = at + (key % (window + 1));
            const again = { fields, rank: at + ((key >> 3) % (window + 1)) };
            return key % 3 === 0 ? [{ fields, rank: late }, again] : [{ fields, rank: late }];
          })
          .toSorted((one, other) => one.rank - other.rank)
          .map(({ fields }) => fields);
        const reading = new Reading().add(syn, synAck, ...shuffled);
        reading.streams.flush();
        assert.deepEqual(reading.told, plain);
        assert.equal(reading.counts.gapBytes, 0);
        assert.equal(reading.counts.heldBytes, 0);
      },
    ),
    { numRuns: 300 },
  );
});

test("whatever segments come: bytes are handed on at most once, positions never go back", () => {
  const anything = fc.record({
    side: fc.constantFrom<Side>(0, 1),
    sequence: fc.oneof(fc.integer({ min: 900, max: 1200 }), fc.nat({ max: 0xffffffff })),
    acknowledged: fc.oneof(fc.integer({ min: 900, max: 1200 }), fc.nat({ max: 0xffffffff })),
    text: fc.string({ maxLength: 60 }),
    flags: fc.nat({ max: 31 }),
    timeNs: fc.nat({ max: 1e9 }),
  });
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 60 }), (all) => {
      const reading = new Reading({ ...LIMITS, heldBytesMax: 200 });
      for (const fields of all) {
        const segment = segmentOf(fields);
        if (!reading.streams.isAnother(fields.side, segment))
          reading.streams.add(fields.side, segment);
      }
      reading.streams.flush();
      const ends = [0, 0];
      for (const { side, position, text } of reading.pieces) {
        assert.ok(position >= (ends[side] ?? 0));
        ends[side] = position + text.length;
      }
      assert.equal(reading.counts.heldBytes, 0);
    }),
    { numRuns: 500 },
  );
});
