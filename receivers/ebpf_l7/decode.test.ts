// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNECTION_ACCEPTER,
  CONNECTION_OPENER,
  DATA_SEND,
  DATA_SLEPT,
  WIRE_CONNECTION_FAMILY,
  WIRE_CONNECTION_FLAGS,
  WIRE_CONNECTION_LOCAL_ADDRESS,
  WIRE_CONNECTION_REMOTE_PORT,
  WIRE_CONNECTION_SOCKET,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TAIL,
  WIRE_DATA_TRIGGER_POSITION,
  WIRE_HEADER_TIME_NS,
} from "../../bpf/generated/wire.ts";
import { SENT } from "../../src/model/protocol.ts";
import { compressIpv6, DataCursor, decodeConnection, type RingMemory } from "./decode.ts";

function createMemory(): RingMemory {
  const buffer = new ArrayBuffer(512);
  return {
    bytes: new Uint8Array(buffer),
    u32: new Uint32Array(buffer),
    view: new DataView(buffer),
  };
}

test("a data record is read at its place in the ring", () => {
  const memory = createMemory();
  const at = 64;
  const { view } = memory;
  view.setBigUint64(at + WIRE_HEADER_TIME_NS, 5_000_000_001n, true);
  view.setBigUint64(at + WIRE_DATA_SOCKET, 0x1_0000_0007n, true);
  view.setBigUint64(at + WIRE_DATA_POSITION, 0x2_0000_0000n, true);
  view.setUint32(at + WIRE_DATA_LENGTH, 5000, true);
  view.setUint16(at + WIRE_DATA_CAPTURED, 300, true);
  view.setUint8(at + WIRE_DATA_FLAGS, DATA_SEND | DATA_SLEPT);
  view.setBigUint64(at + WIRE_DATA_TRIGGER_POSITION, 18n, true);
  memory.bytes.set(Buffer.from("x\r\n0\r\n\r\n"), at + WIRE_DATA_TAIL);
  const cursor = new DataCursor(memory);
  cursor.moveTo(at);
  assert.equal(cursor.timeNs, 5_000_000_001);
  assert.equal(cursor.socket, 4_294_967_303);
  assert.equal(cursor.position, 8_589_934_592);
  assert.equal(cursor.length, 5000);
  assert.equal(cursor.captured, 300);
  assert.equal(cursor.direction, SENT);
  assert.equal(cursor.slept, true);
  assert.equal(cursor.isShed, false);
  assert.equal(cursor.triggerPosition, 18);
  assert.equal(cursor.start, at + WIRE_DATA_BYTES);
  assert.equal(cursor.tailStart, at + WIRE_DATA_TAIL);
});

test("a record without a tail says so", () => {
  const memory = createMemory();
  const cursor = new DataCursor(memory);
  cursor.moveTo(0);
  assert.equal(cursor.tailStart, -1);
});

test("a connection says who opened it, or that nobody knows", () => {
  const memory = createMemory();
  memory.view.setBigUint64(WIRE_CONNECTION_SOCKET, 9n, true);
  memory.view.setUint8(WIRE_CONNECTION_FAMILY, 4);
  memory.bytes.set([10, 0, 0, 7], WIRE_CONNECTION_LOCAL_ADDRESS);
  memory.view.setUint16(WIRE_CONNECTION_REMOTE_PORT, 8080, true);
  const sides = [CONNECTION_OPENER, CONNECTION_ACCEPTER, 0].map((flags) => {
    memory.view.setUint8(WIRE_CONNECTION_FLAGS, flags);
    return decodeConnection(memory, 0).side;
  });
  assert.deepEqual(sides, ["opener", "accepter", "unknown"]);
  const record = decodeConnection(memory, 0);
  assert.equal(record.localAddress, "10.0.0.7");
  assert.equal(record.remotePort, 8080);
});

test("IPv6 addresses are written as RFC 5952 says", () => {
  const cases: readonly (readonly [readonly number[], string])[] = [
    [[0, 0, 0, 0, 0, 0, 0, 1], "::1"],
    [[0, 0, 0, 0, 0, 0, 0, 0], "::"],
    [[0x2001, 0xdb8, 0, 0, 0, 0, 2, 1], "2001:db8::2:1"],
    [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], "2001:db8:0:1:1:1:1:1"],
    [[0x2001, 0, 0, 1, 0, 0, 0, 1], "2001:0:0:1::1"],
    [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], "2001:db8::1:0:0:1"],
    [[0xfe80, 0, 0, 0, 0, 0, 0, 0], "fe80::"],
  ];
  for (const [groups, text] of cases) assert.equal(compressIpv6(groups), text);
});
