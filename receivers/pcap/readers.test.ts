// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { createReader } from "./capture-files.ts";
import { CaptureClock, CaptureFormatError } from "./packet.ts";
import {
  enhancedPacket,
  interfaceBlock,
  pcapFile,
  pcapngFile,
  sectionHeader,
  simplePacket,
} from "./testing/captures.ts";

interface Seen {
  readonly epochNs: bigint;
  readonly text: string;
  readonly linkType: number;
  readonly wireLength: number;
}

/** All packets of a file that comes in pieces of `pieceBytes`. */
function readAll(file: Uint8Array, pieceBytes = file.length): { seen: Seen[]; pending: number } {
  const seen: Seen[] = [];
  let offsetNs = 0n;
  const clock = new CaptureClock((ns) => {
    offsetNs = ns;
  });
  const reader = createReader(file.subarray(0, 4), clock, (packet) => {
    seen.push({
      epochNs: offsetNs + BigInt(packet.timeNs),
      text: Buffer.from(packet.bytes.subarray(packet.start, packet.end)).toString("latin1"),
      linkType: packet.linkType,
      wireLength: packet.wireLength,
    });
  });
  assert.ok(reader !== undefined);
  for (let at = 0; at < file.length; at += pieceBytes) {
    reader.push(file.subarray(at, at + pieceBytes));
  }
  return { seen, pending: reader.pendingBytes };
}

const TIMES = [1_700_000_000_123_456_789n, 1_700_000_001_000_000_000n, 1_700_000_000_999_999_999n];
const TEXTS = ["one", "two and more", ""];
const PACKETS = TIMES.map((timeNs, at) => ({ timeNs, frame: Buffer.from(TEXTS[at] ?? "") }));

test("classic pcap: either byte order, micro- and nanoseconds, in pieces of any size", () => {
  for (const littleEndian of [true, false]) {
    for (const nsPerTick of [1, 1000] as const) {
      const rounded = TIMES.map((timeNs) => timeNs - (timeNs % BigInt(nsPerTick)));
      const packets = PACKETS.map(({ frame }, at) => ({ timeNs: rounded[at] ?? 0n, frame }));
      const file = pcapFile(packets, { littleEndian, nsPerTick, linkType: 113 });
      for (const pieceBytes of [1, 7, file.length]) {
        const { seen, pending } = readAll(file, pieceBytes);
        assert.deepEqual(
          seen.map(({ epochNs }) => epochNs),
          rounded,
        );
        assert.deepEqual(
          seen.map(({ text }) => text),
          TEXTS,
        );
        assert.deepEqual(new Set(seen.map(({ linkType }) => linkType)), new Set([113]));
        assert.equal(pending, 0);
      }
    }
  }
});

test("pcapng: sections of either byte order, several interfaces, resolutions and offsets", () => {
  const cases: readonly (readonly [number | undefined, bigint, bigint])[] = [
    // if_tsresol absent is microseconds.
    [undefined, 1_700_000_000_123_456n, 1_700_000_000_123_456_000n],
    [9, 1_700_000_000_123_456_789n, 1_700_000_000_123_456_789n],
    [3, 1_700_000_000_123n, 1_700_000_000_123_000_000n],
    [0, 1_700_000_000n, 1_700_000_000_000_000_000n],
    // Picoseconds, and 2^-20 s: half a second.
    [12, 1_700_000_000_123_456_789_012n, 1_700_000_000_123_456_789n],
    [0x80 | 20, (1_700_000_000n << 20n) + (1n << 19n), 1_700_000_000_500_000_000n],
  ];
  for (const littleEndian of [true, false]) {
    for (const [resolution, ticks, epochNs] of cases) {
      // 10^12 ticks a second overflow 64 bits in 2024 only with an offset, as programs write it.
      const offsetSeconds = resolution === 12 ? 1_700_000_000n : undefined;
      const inTicks = offsetSeconds === undefined ? ticks : ticks - 1_700_000_000n * 10n ** 12n;
      const second = {
        linkType: 101,
        ...(resolution === undefined ? {} : { resolution }),
        ...(offsetSeconds === undefined ? {} : { offsetSeconds }),
      };
      const file = pcapngFile(
        [
          sectionHeader(littleEndian),
          interfaceBlock({ linkType: 1 }, littleEndian),
          interfaceBlock(second, littleEndian),
          // A block nobody knows, here decryption secrets.
          { type: 10, body: Buffer.from("TLSKsecret!!") },
          enhancedPacket({ id: 1, ticks: inTicks, frame: Buffer.from("hello") }, littleEndian),
        ],
        littleEndian,
      );
      for (const pieceBytes of [1, 13, file.length]) {
        const { seen } = readAll(file, pieceBytes);
        assert.deepEqual(seen, [{ epochNs, text: "hello", linkType: 101, wireLength: 5 }]);
      }
    }
  }
});

test("pcapng: a new section forgets the interfaces of the one before", () => {
  const packet = enhancedPacket({ ticks: 1_700_000_000_000_000n, frame: Buffer.from("x") });
  const first = pcapngFile([sectionHeader(), interfaceBlock({ linkType: 1 }), packet]);
  const big = enhancedPacket({ ticks: 1_700_000_000_000_000n, frame: Buffer.from("y") }, false);
  const second = [sectionHeader(false), interfaceBlock({ linkType: 113 }, false), big];
  const { seen } = readAll(Buffer.concat([first, pcapngFile(second, false)]));
  assert.deepEqual(
    seen.map(({ text, linkType }) => [text, linkType]),
    [
      ["x", 1],
      ["y", 113],
    ],
  );
  const without = Buffer.concat([first, pcapngFile([sectionHeader(), packet])]);
  assert.throws(() => readAll(without), CaptureFormatError);
});

test("pcapng: a simple packet has the length of the wire and the time of the packet before", () => {
  const ticks = 1_700_000_000_000_000n;
  const file = pcapngFile([
    sectionHeader(),
    interfaceBlock({ snapLength: 4 }),
    enhancedPacket({ ticks, frame: Buffer.from("abc") }),
    simplePacket(Buffer.from("abcdefgh")),
  ]);
  const { seen } = readAll(file);
  assert.deepEqual(seen[1], {
    epochNs: ticks * 1000n,
    text: "abcd",
    linkType: 1,
    wireLength: 8,
  });
});

test("pcapng: the obsolete packet block is read", () => {
  const head = new DataView(new ArrayBuffer(20));
  head.setUint32(4, Number(1_700_000_000_000_000n >> 32n), true);
  head.setUint32(8, Number(1_700_000_000_000_000n & 0xffffffffn), true);
  head.setUint32(12, 3, true);
  head.setUint32(16, 9, true);
  const body = Buffer.concat([Buffer.from(head.buffer), Buffer.from("old")]);
  const { seen } = readAll(pcapngFile([sectionHeader(), interfaceBlock({}), { type: 2, body }]));
  assert.deepEqual(
    seen.map(({ text, wireLength, epochNs }) => [text, wireLength, epochNs]),
    [["old", 9, 1_700_000_000_000_000_000n]],
  );
});

test("packets that are older than the first have their time, up to a day", () => {
  const times = [
    1_700_000_000_000_000_000n,
    1_699_999_999_999_999_999n,
    1_699_950_000_000_000_000n,
  ];
  const packets = times.map((timeNs) => ({ timeNs, frame: Buffer.from("x") }));
  const { seen } = readAll(pcapFile(packets));
  assert.deepEqual(
    seen.map(({ epochNs }) => epochNs),
    times,
  );
});

test("lengths that no format allows end the reading", () => {
  const classic = pcapFile(PACKETS);
  classic.writeUInt32LE(0x7fffffff, 24 + 8);
  assert.throws(() => readAll(classic), /a packet of 2147483647 bytes/);
  const ng = pcapngFile([sectionHeader(), interfaceBlock({})]);
  for (const length of [0, 8, 13]) {
    ng.writeUInt32LE(length, 28 + 4);
    assert.throws(() => readAll(ng), CaptureFormatError);
  }
});

test("a large block that nobody reads is passed over without being kept", () => {
  const secrets = { type: 10, body: Buffer.alloc(8 * 1024 * 1024) };
  const packet = enhancedPacket({ ticks: 1_700_000_000_000_000n, frame: Buffer.from("x") });
  const file = pcapngFile([sectionHeader(), secrets, interfaceBlock({}), packet]);
  assert.equal(readAll(file, 64 * 1024).seen.length, 1);
});
