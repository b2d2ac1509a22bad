// SPDX-License-Identifier: Apache-2.0
/**
 * The recorded conversations of all protocols, as captures that somebody began too late, cut off, or
 * took at the wrong place: nothing fails, no response is given to another's request.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import type { FlatSpan } from "../../test/support/otlp-json.ts";
import { type CapturedPacket, pcapFile } from "./testing/captures.ts";
import { WRAPS } from "./testing/frames.ts";
import { readBytes } from "./testing/run.ts";
import { type Packets, packetsOf, type Recorded, recordedOf } from "./testing/variants.ts";

const STRANGE_PORT = 12_345;
/** Places in a conversation at which a capture begins, or a packet is lost. */
const PLACES_MAX = 8;
const LONG_AFTER_NS = 1_000_000n;

/** The end of the connection or of the capture ended it: no response is told. */
const NO_RESPONSE: ReadonlySet<unknown> = new Set(["ETIMEDOUT", "connection_closed"]);

/** A span by the packets in which its exchange began and ended: no two have both in common by chance. */
function placeOf({ startNs, endNs }: FlatSpan): string {
  return `${startNs}-${endNs}`;
}

function hasResponse({ attributes }: FlatSpan): boolean {
  return !NO_RESPONSE.has(attributes.get("error.type"));
}

async function spansOf(packets: readonly CapturedPacket[]): Promise<readonly FlatSpan[]> {
  const { spans, metric } = await readBytes(pcapFile(packets));
  assert.equal(metric("parser_failures"), 0);
  return spans;
}

function all({ opening, data, closing }: Packets): readonly CapturedPacket[] {
  return [...opening, ...data, ...closing];
}

/** Some places, from the first to the last. */
function places(count: number): readonly number[] {
  const step = Math.max(1, Math.floor(count / PLACES_MAX));
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => index * step);
}

/**
 * What begins after the capture does and is not found: the first exchange may look like the rest of
 * an older one, a message that began before is in the way of one or two more, and what follows a
 * setting that was not seen (a COPY, the confirmations of a channel) is not known for what it is.
 */
const MISSED_MAX = 4;
const describeSpan = (span: FlatSpan): string =>
  `${placeOf(span)} ${span.name} ${String(span.attributes.get("error.type"))}`;

/** Exchanges that begin earlier, or ended otherwise, than in the whole capture. */
function strangers(spans: readonly FlatSpan[], whole: readonly FlatSpan[]): readonly string[] {
  const known = new Map(whole.map((span) => [placeOf(span), span]));
  const starts = new Set(whole.map(({ startNs }) => startNs));
  return spans
    .filter((span) => hasResponse(span) && span.endNs > span.startNs)
    .filter((span) => starts.has(span.startNs) && !known.has(placeOf(span)))
    .map(describeSpan);
}

async function checkLateStarts(packets: Packets, whole: readonly FlatSpan[]): Promise<void> {
  for (const first of places(packets.data.length)) {
    const rest = packets.data.slice(first);
    const spans = await spansOf(rest);
    assert.deepEqual(strangers(spans, whole), [], `from packet ${first} on`);
    const from = rest[0]?.timeNs ?? 0n;
    const found = new Set(spans.map(placeOf));
    const missed = whole.filter((span) => span.startNs >= from && !found.has(placeOf(span)));
    const text = `from packet ${first} on: ${missed.map(describeSpan).join("; ")}`;
    // Calls of one packet are missed together.
    assert.ok(new Set(missed.map(({ startNs }) => startNs)).size <= MISSED_MAX, text);
  }
}

/** Copies, as of two interfaces; and neighbours the other way round, as of several queues. */
async function checkDisorder(packets: Packets, whole: readonly FlatSpan[]): Promise<void> {
  const expected = whole.map(describeSpan).toSorted();
  const packet = all(packets);
  const twice = packet.flatMap((one) => [one, { ...one, timeNs: one.timeNs + 1000n }]);
  assert.deepEqual((await spansOf(twice)).map(describeSpan).toSorted(), expected, "twice");
  const again = packet.map((one) => ({ ...one, timeNs: one.timeNs + LONG_AFTER_NS }));
  const resent = packet.flatMap((one, index) => [
    one,
    ...again.slice(Math.max(0, index - 1), index),
  ]);
  assert.deepEqual((await spansOf(resent)).map(describeSpan).toSorted(), expected, "resent");
  const swapped = [...packet];
  for (let at = 3; at + 1 < swapped.length; at += 2) {
    swapped.splice(at, 2, ...packet.slice(at, at + 2).toReversed());
  }
  const names = (spans: readonly FlatSpan[]): string[] => spans.map(({ name }) => name).toSorted();
  assert.deepEqual(names(await spansOf(swapped)), names(whole), "swapped");
}

/** Packets that are cut off, of one end only, or missing. */
async function checkLoss(packets: Packets, whole: readonly FlatSpan[]): Promise<void> {
  for (const bytes of [60, 96, 256]) {
    await spansOf(
      all(packets).map(({ timeNs, frame }) => ({
        timeNs,
        frame: frame.subarray(0, bytes),
        wireLength: frame.length,
      })),
    );
  }
  for (const isClient of [true, false]) {
    const one = packets.data.filter((_, index) => packets.fromClient[index] === isClient);
    const spans = await spansOf(one);
    // Who hears only one end knows of no response; messages that have none take as long as their packets.
    assert.deepEqual(strangers(spans, whole), [], isClient ? "requests only" : "responses only");
  }
  // A hole at a response's end is noticed by what comes after it: some end later, none earlier.
  const ends = new Map<bigint, bigint>();
  for (const { startNs, endNs } of whole) {
    const first = ends.get(startNs);
    if (first === undefined || endNs < first) ends.set(startNs, endNs);
  }
  for (const lost of places(packets.data.length)) {
    const rest = packets.data.filter((_, index) => index !== lost);
    const spans = await spansOf([...packets.opening, ...rest, ...packets.closing]);
    const early = spans.filter((span) => span.endNs < (ends.get(span.startNs) ?? 0n));
    const odd = early.filter((span) => hasResponse(span) && span.endNs > span.startNs);
    assert.ok(odd.length <= 1, `without packet ${lost}: ${odd.map(describeSpan).join("; ")}`);
  }
}

for (const protocol of PROTOCOLS) {
  const recorded = recordedOf(protocol);
  if (recorded.length === 0) continue;
  const [port = STRANGE_PORT] = protocol.ports ?? [];
  describe(`captures of ${protocol.name}`, () => {
    for (const conversation of recorded) {
      it(`are read from anywhere on, in disorder and with loss: ${conversation.title}`, async () => {
        const packets = packetsOf(conversation, { port });
        const whole = await spansOf(all(packets));
        await checkLateStarts(packets, whole);
        await checkDisorder(packets, whole);
        await checkLoss(packets, whole);
      });
    }
  });
}

describe("captures of all protocols at once", () => {
  it("give the same spans in one file, through a tunnel, in large segments and in small ones", async () => {
    const conversations = PROTOCOLS.flatMap((protocol) =>
      recordedOf(protocol).map((recorded): readonly [Recorded, number] => [
        recorded,
        protocol.ports?.[0] ?? STRANGE_PORT,
      ]),
    );
    const namesOf = async (segmentBytes: number, link: string): Promise<readonly string[]> => {
      const wrap = WRAPS[link];
      assert.ok(wrap);
      const packets = conversations.flatMap(([recorded, port], index) =>
        all(
          packetsOf(recorded, { port, clientPort: 40_100 + index, segmentBytes, wrap: wrap.wrap }),
        ),
      );
      packets.sort((a, b) => Number(a.timeNs - b.timeNs));
      const { spans, metric } = await readBytes(pcapFile(packets, { linkType: wrap.linkType }));
      assert.equal(metric("parser_failures"), 0);
      // What one connection teaches about another (Kafka's topic ids) depends on which comes first.
      return spans
        .map(
          ({ name, attributes }) => `${name.split(" ")[0]} ${String(attributes.get("error.type"))}`,
        )
        .toSorted();
    };
    const expected = await namesOf(1400, "ethernet");
    assert.ok(expected.length > 300);
    assert.deepEqual(await namesOf(60_000, "Linux cooked, version 2"), expected);
    assert.deepEqual(await namesOf(100, "VXLAN"), expected);
    assert.deepEqual(await namesOf(1400, "QinQ"), expected);
  });
});
