// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  crc32c,
  SnappyError,
  snappyDecode,
  snappyEncode,
  snappyStreamDecode,
  snappyStreamEncode,
} from "./snappy.ts";

const MIB = 1024 ** 2;

/** Bytes with and without repetitions, around the sizes at which the forms change. */
const inputs = [
  ...[0, 1, 3, 4, 15, 16, 59, 60, 61, 62, 255, 256, 257, 65_535, 65_536, 65_537, 200_000].flatMap(
    (size) => [randomBytes(size), Buffer.alloc(size, "abcabcd"), Buffer.alloc(size)],
  ),
  Buffer.concat([randomBytes(70_000), Buffer.alloc(70_000, "x"), randomBytes(70_000)]),
];

test("what is encoded is decoded again, as a block and as a stream", () => {
  for (const input of inputs) {
    assert.ok(snappyDecode(snappyEncode(input), MIB).equals(input), `block of ${input.length}`);
    assert.ok(snappyStreamDecode(snappyStreamEncode(input), MIB).equals(input));
  }
  const repeated = Buffer.alloc(100_000, "service.name");
  assert.ok(snappyEncode(repeated).length < 6_000, "repetitions are found");
});

test("blocks written by hand from the format's description are decoded", () => {
  // "Wiki" as a literal, then a copy of four bytes from four back (one-byte offset), twice.
  const block = Buffer.from([12, 3 << 2, 0x57, 0x69, 0x6b, 0x69, 0x01, 0x04, 0x01, 0x04]);
  assert.equal(snappyDecode(block, 100).toString(), "WikiWikiWiki");
  // A copy that overlaps itself: one byte, then seven of it (two-byte offset).
  assert.equal(
    snappyDecode(Buffer.from([8, 0, 0x61, (6 << 2) | 2, 1, 0]), 100).toString(),
    "aaaaaaaa",
  );
  // Four-byte offset, and a literal whose length has a byte of its own.
  const long = Buffer.concat([
    Buffer.from([104, 60 << 2, 99]),
    Buffer.alloc(100, "z"),
    Buffer.from([(3 << 2) | 3, 100, 0, 0, 0]),
  ]);
  assert.equal(snappyDecode(long, 200).toString(), "z".repeat(104));
});

test("the checksum is CRC-32C", () => {
  // RFC 3720, B.4.
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, at) => at))), 0x46dd794e);
});

test("a stream with padding is read, and one with a wrong checksum is refused", () => {
  const stream = snappyStreamEncode(Buffer.from("hello hello hello hello"));
  const padding = Buffer.from([0xfe, 2, 0, 0, 0, 0]);
  const padded = Buffer.concat([stream.subarray(0, 10), padding, stream.subarray(10)]);
  assert.equal(snappyStreamDecode(padded, 100).toString(), "hello hello hello hello");
  stream[14] = (stream[14] ?? 0) ^ 1;
  assert.throws(() => snappyStreamDecode(stream, 100), /checksum is wrong/);
  assert.throws(() => snappyStreamDecode(Buffer.from("hello hello"), 100), /no stream identifier/);
});

test("a bomb gives no more than it may", () => {
  const bomb = snappyEncode(Buffer.alloc(10 * MIB));
  assert.throws(
    () => snappyDecode(bomb, MIB),
    (error) => error instanceof SnappyError && error.tooLarge,
  );
  assert.throws(
    () => snappyStreamDecode(snappyStreamEncode(Buffer.alloc(10 * MIB)), MIB),
    (error) => error instanceof SnappyError && error.tooLarge,
  );
  // Says four GiB of itself in six bytes: nothing is allocated for it.
  const liar = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
  assert.throws(() => snappyDecode(liar, 2 ** 33), /too short/);
});

test("any bytes are decoded or refused, never more", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isStream) => {
      const head = isStream ? snappyStreamEncode(new Uint8Array(0)) : new Uint8Array(0);
      const input = Buffer.concat([head, bytes]);
      try {
        const out = isStream ? snappyStreamDecode(input, 1_000) : snappyDecode(input, 1_000);
        assert.ok(out.length <= 1_000);
      } catch (error) {
        assert.ok(error instanceof SnappyError);
      }
    }),
    { numRuns: 3_000 },
  );
});
