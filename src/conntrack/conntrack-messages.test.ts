// SPDX-License-Identifier: Apache-2.0
// Messages built by hand as linux/netlink.h, nfnetlink.h and nfnetlink_conntrack.h describe them.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConntrackMessages } from "./conntrack-messages.ts";
import { entryOf } from "./testing.ts";

const NESTED = 0x8000;

function attribute(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(4);
  header.writeUInt16LE(4 + body.length, 0);
  header.writeUInt16LE(type, 2);
  return Buffer.concat([header, body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
}

function tuple(type: number, source: number[], destination: number[], ports: number[]): Uint8Array {
  const [from, to] = source.length === 4 ? [1, 2] : [3, 4];
  const port = (value = 0): Uint8Array => Uint8Array.of(value >> 8, value);
  return attribute(
    type | NESTED,
    attribute(
      1 | NESTED,
      attribute(from, Uint8Array.from(source)),
      attribute(to, Uint8Array.from(destination)),
    ),
    attribute(
      2 | NESTED,
      attribute(1, Uint8Array.of(ports[0] ?? 0)),
      attribute(2, port(ports[1])),
      attribute(3, port(ports[2])),
    ),
  );
}

function message(type: number, flags: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  return Buffer.concat([header, body]);
}

const GENERIC = Uint8Array.of(2, 0, 0, 0);
const ID = attribute(12, Uint8Array.of(0, 0, 0, 77));
/** 1700000000 s as ns of the epoch. */
const STARTED = attribute(
  20 | NESTED,
  attribute(1, Uint8Array.of(0x17, 0x97, 0x9c, 0xfe, 0x36, 0x2a, 0x00, 0x00)),
);
const CONNECTION = [
  GENERIC,
  tuple(1, [10, 201, 1, 2], [10, 201, 9, 9], [6, 34_510, 80]),
  tuple(2, [10, 201, 2, 2], [10, 201, 2, 1], [6, 18_092, 28_647]),
  attribute(3, Uint8Array.of(0, 0, 1, 0x9e)),
  ID,
  STARTED,
];
const EXPECTED = entryOf({
  original: { from: ["10.201.1.2", 34_510], to: ["10.201.9.9", 80] },
  reply: { from: ["10.201.2.2", 18_092], to: ["10.201.2.1", 28_647] },
  source: 0,
  id: 77,
});

function kinds(bytes: Uint8Array, end = bytes.length): { kinds: string[]; of: ConntrackMessages } {
  const of = new ConntrackMessages();
  const found: string[] = [];
  of.reset(bytes, end);
  for (let kind = of.next(); kind !== undefined; kind = of.next()) found.push(kind);
  return { kinds: found, of };
}

test("a new connection and its end are read with both tuples, id and time", () => {
  for (const [type, kind] of [
    [0x100, "new"],
    [0x102, "destroy"],
  ] as const) {
    const read = kinds(message(type, 0, ...CONNECTION));
    assert.deepEqual(read.kinds, [kind]);
    assert.deepEqual(read.of.entry, EXPECTED);
    assert.equal(read.of.startNs, 1.7e18);
  }
});

test("IPv6 and UDP", () => {
  const local = [0xfd, 0, 2, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
  const service = [0xfd, 0, 2, 0x14, 0, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
  const { kinds: found, of } = kinds(
    message(
      0x100,
      0,
      Uint8Array.of(10, 0, 0, 0),
      tuple(1, local, service, [17, 5000, 53]),
      tuple(2, service, local, [17, 53, 5000]),
    ),
  );
  assert.deepEqual(found, ["new"]);
  const ends = { from: ["fd00:214::2", 5000], to: ["fd00:214:99::9", 53] } as const;
  const reply = { from: ends.to, to: ends.from };
  assert.deepEqual(of.entry, entryOf({ original: ends, reply, protocol: 17, source: 0 }));
});

test("other protocols, other messages and incomplete ones are passed over", () => {
  const icmp = [1, 2].map((type) => tuple(type, [1, 1, 1, 1], [2, 2, 2, 2], [1]));
  const bytes = Buffer.concat([
    message(0x100, 0, GENERIC, ...icmp),
    message(0x201, 0, ...CONNECTION),
    message(0x100, 0, GENERIC, CONNECTION[1] ?? GENERIC),
    message(0x100, 0, ...CONNECTION),
  ]);
  assert.deepEqual(kinds(bytes).kinds, ["other", "other", "other", "new"]);
});

test("the end of a listing, an interrupted one, and an error with its number", () => {
  const zero = new Uint8Array(4);
  assert.deepEqual(kinds(message(3, 2, zero)).kinds, ["done"]);
  assert.deepEqual(kinds(message(3, 0x12, zero)).kinds, ["interrupted"]);
  const error = kinds(message(2, 0, Uint8Array.of(0xff, 0xff, 0xff, 0xff), new Uint8Array(16)));
  assert.deepEqual(error.kinds, ["error"]);
  assert.equal(error.of.errno, 1);
});

test("any bytes end the walk without an exception, wherever they are cut off", () => {
  const good = Buffer.concat([message(0x100, 0, ...CONNECTION), message(0x102, 0, ...CONNECTION)]);
  for (let end = 0; end <= good.length; end++) kinds(good, end);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 }),
      (changes) => {
        const bytes = Uint8Array.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        assert.ok(kinds(bytes).kinds.length <= good.length / 16);
      },
    ),
  );
});
