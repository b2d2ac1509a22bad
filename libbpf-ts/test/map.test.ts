// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";

import { BpfError, BpfMap, MAP_FLAG, MAP_TYPE, UPDATE_FLAG } from "../src/index.ts";
import { buildObjects, kernelTest, loadRing, openRingObject, provoke, u32 } from "./support.ts";

buildObjects();

function createHash(maxEntries: number): BpfMap {
  return BpfMap.create({
    type: MAP_TYPE.hash,
    name: "test",
    keySize: 4,
    valueSize: 8,
    maxEntries,
  });
}

function value(number: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([number]).buffer);
}

function rejects(code: string, errno?: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof BpfError &&
    error.code === code &&
    (errno === undefined || error.errno === errno);
}

kernelTest("a hash map gives back what was set, and undefined after delete", () => {
  using map = createHash(16);
  assert.equal(map.get(u32(7)), undefined);
  map.set(u32(7), value(99n));
  assert.deepEqual(map.get(u32(7)), value(99n));
  const out = new Uint8Array(8);
  assert.equal(map.get(u32(7), out), out);
  assert.deepEqual(out, value(99n));
  assert.equal(map.delete(u32(7)), true);
  assert.equal(map.delete(u32(7)), false);
  assert.equal(map.get(u32(7)), undefined);
});

kernelTest("flags decide between insert and replace", () => {
  using map = createHash(16);
  assert.throws(() => map.set(u32(1), value(1n), UPDATE_FLAG.exist), rejects("MAP", "ENOENT"));
  map.set(u32(1), value(1n), UPDATE_FLAG.noExist);
  assert.throws(() => map.set(u32(1), value(2n), UPDATE_FLAG.noExist), rejects("MAP", "EEXIST"));
});

kernelTest("a full map, a wrong size and a closed map are typed errors", () => {
  const map = createHash(2);
  map.set(u32(1), value(1n));
  map.set(u32(2), value(1n));
  assert.throws(() => map.set(u32(3), value(1n)), rejects("MAP", "E2BIG"));
  assert.throws(() => map.get(new Uint8Array(3)), rejects("ARGUMENT"));
  assert.throws(() => map.get(u32(1), new Uint8Array(9)), rejects("ARGUMENT"));
  assert.throws(() => map.set(u32(1), new Uint8Array(7)), rejects("ARGUMENT"));
  assert.throws(() => map.delete(new Uint8Array(0)), rejects("ARGUMENT"));
  map.close();
  map.close();
  assert.throws(() => map.get(u32(1)), rejects("CLOSED"));
  assert.throws(() => [...map.keys()], rejects("CLOSED"));
  assert.throws(
    () => BpfMap.create({ type: 9999, name: "x", keySize: 4, valueSize: 4, maxEntries: 1 }),
    rejects("MAP", "EINVAL"),
  );
});

kernelTest("iteration visits every entry once while all of them are deleted", () => {
  using map = createHash(5000);
  for (let number = 0; number < 5000; number++) {
    map.set(u32(number), value(BigInt(number) * 3n));
  }
  const seen = new Set<number>();
  for (const [key, bytes] of map) {
    const number = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
    const held = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    assert.equal(held, BigInt(number) * 3n);
    assert.equal(seen.has(number), false);
    seen.add(number);
    assert.equal(map.delete(key), true);
  }
  assert.equal(seen.size, 5000);
  assert.deepEqual([...map.keys()], []);
});

kernelTest(
  "a per-CPU array holds one value a CPU, and their sum is what the program counted",
  () => {
    using loaded = loadRing();
    loaded.attach("on_call");
    provoke(25);
    const copies = loaded.map("per_cpu").getPerCpu(u32(1));
    assert.ok(copies !== undefined && copies.length >= 1);
    let sum = 0;
    for (const copy of copies) {
      assert.equal(copy.length, 4);
      sum += new DataView(copy.buffer, copy.byteOffset).getUint32(0, true);
    }
    assert.equal(sum, 25);
  },
);

kernelTest("a mapped array shows what the program writes without a system call", () => {
  using loaded = loadRing();
  loaded.attach("on_call");
  using memory = loaded.map("mapped").mmap({ writable: true });
  assert.equal(memory.bytes.length, 4 * 8, "entries lie 8 bytes apart");
  provoke(4);
  assert.equal(memory.view.getUint32(8, true), 4);
  memory.view.setUint32(8, 1000, true);
  provoke(1);
  assert.equal(memory.view.getUint32(8, true), 1001);
  assert.throws(() => loaded.map("numbers").mmap(), rejects("ARGUMENT"));
});

kernelTest("a map that another object uses again is shared by both", () => {
  using first = loadRing();
  const object = openRingObject();
  object.map("numbers").reuse(first.map("numbers"));
  using second = object.load();
  second.map("numbers").set(u32(5), value(55n));
  assert.deepEqual(first.map("numbers").get(u32(5)), value(55n));
  assert.equal(second.map("numbers").id, first.map("numbers").id);
  using wrong = openRingObject();
  assert.throws(() => wrong.map("numbers").reuse(first.map("mapped")), rejects("ARGUMENT"));
});

kernelTest("maxEntries set before load is what the kernel makes", () => {
  const object = openRingObject();
  object.map("events").setMaxEntries(8192);
  object.map("numbers").setMaxEntries(7);
  assert.throws(() => object.map("numbers").setMaxEntries(-1), rejects("ARGUMENT"));
  using loaded = object.load();
  assert.equal(loaded.map("numbers").maxEntries, 7);
  using ring = loaded.ring("events");
  assert.equal(ring.size, 8192);
  assert.equal(ring.bytes.length, 2 * 8192);
});

kernelTest("a map says what it is", () => {
  using map = BpfMap.create({
    type: MAP_TYPE.array,
    name: "described",
    keySize: 4,
    valueSize: 12,
    maxEntries: 3,
    flags: MAP_FLAG.mmapable,
  });
  assert.equal(map.name, "described");
  assert.equal(map.keySize, 4);
  assert.equal(map.valueSize, 12);
  assert.equal(map.maxEntries, 3);
  assert.equal(map.flags, MAP_FLAG.mmapable);
  assert.ok(map.fd > 2);
  assert.equal([...map.keys()].length, 3);
});
