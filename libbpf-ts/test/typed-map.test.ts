// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";

import {
  BpfError,
  BpfMap,
  type BtfValue,
  type LoadedObject,
  MAP_TYPE,
  openObject,
  pidDescriptor,
} from "../src/index.ts";
import { buildObjects, GETPPID, kernelTest, objectPath, provoke, u32 } from "./support.ts";

buildObjects();

const VALUE = {
  total: 1n << 60n,
  delta: -5,
  color: -3,
  seen: true,
  raw: Uint8Array.of(1, 2, 3),
  parts: [7, 65535],
  corners: [
    { x: 1, y: -1 },
    { x: -32768, y: 32767 },
  ],
  as_word: 0x04030201,
  low: 5,
  high: 31,
  negative: -8,
  ratio: 0.25,
  address: 0xffff_8000_0000_0000n,
};

function load(): LoadedObject {
  const object = openObject(objectPath("maps"));
  object.rodata.set({ target_pid: process.pid, target_syscall: GETPPID });
  return object.load();
}

function rejects(code: string, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BpfError && error.code === code, String(error));
    assert.match(error.message, pattern);
    return true;
  };
}

test("variables of structs and text are read and set by their types", () => {
  using object = openObject(objectPath("maps"));
  assert.deepEqual(object.rodata.getTyped("origin"), { x: 3, y: -4 });
  assert.equal(object.rodata.getTyped("greeting"), "hello");
  object.rodata.setTyped({ origin: { x: -1, y: 9 }, greeting: "bye", target_pid: 7 });
  assert.deepEqual(object.rodata.getTyped("origin"), { x: -1, y: 9 });
  assert.equal(object.rodata.getTyped("greeting"), "bye");
  assert.equal(object.rodata.getTyped("target_pid"), 7);
});

kernelTest("a map of structs takes and gives plain objects", () => {
  using loaded = load();
  const map = loaded.typedMap("hash");
  const key = { pid: 1, comm: "init" };
  assert.equal(map.get(key), undefined);
  map.set(key, VALUE);
  const expected = { ...VALUE, as_bytes: Uint8Array.of(1, 2, 3, 4) };
  assert.deepEqual(map.get(key), expected);
  assert.deepEqual([...map], [[key, expected]]);
  assert.deepEqual([...map.keys()], [key]);
  assert.equal(map.raw.get(new Uint8Array(12))?.length, undefined);
  assert.deepEqual(map.take(key), expected);
  assert.equal(map.delete(key), false);
});

kernelTest("a value that does not fit says where, and a wrong field names the right one", () => {
  using loaded = load();
  const map = loaded.typedMap("hash");
  const key = { pid: 1, comm: "x" };
  const set = (change: Readonly<Record<string, BtfValue>>) => () =>
    map.set(key, { ...VALUE, ...change });
  assert.throws(
    set({ delta: 2 ** 31 }),
    rejects("ARGUMENT", /value of map "hash"\.delta: a signed/),
  );
  assert.throws(
    set({ total: 1.5 }),
    rejects("ARGUMENT", /\.total: an unsigned integer of 64 bits/),
  );
  assert.throws(set({ low: 8 }), rejects("ARGUMENT", /\.low: an unsigned integer of 3 bits/));
  assert.throws(set({ corners: [] }), rejects("ARGUMENT", /array of 2 elements/));
  assert.throws(set({ seen: 1 }), rejects("ARGUMENT", /true or false/));
  assert.throws(set({ totl: 1n }), rejects("UNKNOWN_NAME", /Did you mean .*\.total"\?/));
  assert.throws(() => map.get({ pid: 1 }), rejects("ARGUMENT", /\.comm: a value is wanted/));
  const longName = { pid: 1, comm: "far too long" };
  assert.throws(() => map.get(longName), rejects("ARGUMENT", /at most 8 bytes/));
});

kernelTest("64 bit integers are numbers where that is asked for", () => {
  using loaded = load();
  const map = loaded.typedMap("lru", { wideAsNumber: true });
  map.set(3, 1_000_000_000_000);
  assert.equal(map.get(3), 1_000_000_000_000);
});

kernelTest("per-CPU maps hold a value for each possible CPU", () => {
  using loaded = load();
  const map = loaded.typedMap("percpu");
  const copies = loaded.typedMap("percpu_array").getPerCpu(0)?.length ?? 0;
  const values = Array.from({ length: copies }, (_, cpu) => ({ x: cpu, y: 7 - cpu }));
  map.setPerCpu(5, values);
  assert.deepEqual(map.getPerCpu(5), values);
  assert.deepEqual([...map.entriesPerCpu()], [[5, values]]);
  assert.throws(() => map.setPerCpu(5, values.slice(1)), rejects("ARGUMENT", /are wanted/));
});

kernelTest("queue, stack and bloom filter push, pop, peek and answer", () => {
  using loaded = load();
  const queue = loaded.typedMap("queue");
  const stack = loaded.typedMap("stack");
  for (const number of [1, 2, 3]) {
    queue.push({ x: number, y: 0 });
    stack.push(number);
  }
  assert.throws(
    () => queue.push({ x: 4, y: 0 }),
    (error) => error instanceof BpfError && error.errno === "E2BIG",
  );
  assert.deepEqual(queue.peek(), { x: 1, y: 0 });
  assert.deepEqual(queue.pop(), { x: 1, y: 0 });
  assert.deepEqual([stack.pop(), stack.pop(), stack.pop(), stack.pop()], [3, 2, 1, undefined]);
  const bloom = loaded.typedMap("bloom");
  bloom.push(42);
  assert.equal(bloom.mayHave(42), true);
  assert.equal(bloom.mayHave(43), false);
});

kernelTest("the longest prefix wins in an LPM trie", () => {
  using loaded = load();
  const routes = loaded.typedMap("routes");
  const address = (prefixlen: number, ...bytes: number[]) => ({
    prefixlen,
    bytes: Uint8Array.from(bytes),
  });
  routes.set(address(8, 10, 0, 0, 0), 8);
  routes.set(address(16, 10, 1, 0, 0), 16);
  assert.equal(routes.get(address(32, 10, 1, 2, 3)), 16);
  assert.equal(routes.get(address(32, 10, 2, 2, 3)), 8);
  assert.equal(routes.get(address(32, 11, 0, 0, 1)), undefined);
  assert.equal([...routes.keys()].length, 2);
});

kernelTest("a map of maps takes a map and gives a handle of it", () => {
  using loaded = load();
  const shape = { type: MAP_TYPE.hash, name: "inner", keySize: 4, valueSize: 4, maxEntries: 8 };
  using inner = BpfMap.create(shape);
  loaded.map("outer").setInner(u32(1), inner);
  using again = loaded.map("outer").getInner(u32(1));
  assert.equal(again?.id, inner.id);
  inner.set(u32(5), u32(55));
  assert.deepEqual(again?.get(u32(5)), u32(55));
  assert.equal(loaded.map("outer").getInner(u32(2)), undefined);
  using wrong = BpfMap.create({ ...shape, valueSize: 16 });
  assert.throws(() => loaded.map("outer").setInner(u32(1), wrong), BpfError);
  using outer = BpfMap.create({ ...shape, type: MAP_TYPE.hashOfMaps, name: "mine", inner });
  outer.setInner(u32(1), inner);
});

kernelTest("task, socket, cgroup and inode storage are keyed by descriptors", () => {
  using loaded = load();
  const point = { x: 1, y: 2 };
  const check = (name: string, fd: number): void => {
    const map = loaded.typedMap(name);
    assert.equal(map.get(fd), undefined, name);
    map.set(fd, point);
    assert.deepEqual(map.get(fd), point, name);
    assert.equal(map.delete(fd), true, name);
  };
  using task = pidDescriptor(process.pid);
  check("of_task", task.fd);
  const file = openSync(process.execPath, "r");
  check("of_inode", file);
  closeSync(file);
  const cgroup = openSync("/sys/fs/cgroup/unified", "r");
  check("of_cgroup", cgroup);
  closeSync(cgroup);
});

kernelTest("socket storage is keyed by a socket's descriptor", async () => {
  using loaded = load();
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const map = loaded.typedMap("of_socket");
  const fd = unsafeDescriptor(server);
  map.set(fd, { x: 5, y: 6 });
  assert.deepEqual(map.get(fd), { x: 5, y: 6 });
  server.close();
});

kernelTest("batches write, read, take and delete, and iteration survives deletion", () => {
  using loaded = load();
  const map = loaded.typedMap<{ pid: number; comm: string }, typeof VALUE>("hash");
  const keys = Array.from({ length: 500 }, (_, pid) => ({ pid, comm: "batch" }));
  map.setAll(keys.map((key) => [key, { ...VALUE, delta: key.pid }] as const));
  const { count, keys: slab } = map.raw.readAll();
  assert.equal(count, 500);
  assert.equal(slab.length, 500 * 12);
  let visited = 0;
  for (const [key] of map) {
    assert.equal(map.delete(key), true);
    visited++;
  }
  assert.equal(visited, 500);
  map.setAll(keys.map((key) => [key, VALUE] as const));
  map.deleteAll(keys.slice(0, 100));
  assert.equal(map.takeAll().length, 400);
  assert.equal(map.raw.readAll().count, 0);
});

kernelTest("a stack trace map gives the addresses of a stack", () => {
  const object = openObject(objectPath("maps"));
  object.rodata.set({ target_pid: process.pid, target_syscall: GETPPID });
  object.program("emit").setAutoload(true);
  using loaded = object.load();
  loaded.attach("emit");
  provoke(1);
  using bss = loaded.mapGlobal(".bss");
  const id = Number(bss.get("stack_id"));
  assert.ok(id >= 0, `bpf_get_stackid said ${id}`);
  const stack = loaded.map("stacks").getStack(id);
  assert.ok(stack !== undefined && stack.length > 0);
  assert.ok(stack.every((address) => address !== 0n));
});

kernelTest("a pinned map is shared with whoever opens it, and a pin path is used again", () => {
  const path = `/sys/fs/bpf/libbpf-ts-map-${process.pid}`;
  try {
    const open = (): LoadedObject => {
      const object = openObject(objectPath("maps"));
      object.map("lru").setPinPath(path);
      return object.load();
    };
    using first = open();
    first.typedMap("lru").set(1, 10n);
    using second = open();
    assert.equal(second.typedMap("lru").get(1), 10n);
    using third = BpfMap.openPinned(path);
    assert.equal(third.id, first.map("lru").id);
    third.freeze();
    assert.throws(() => third.set(u32(1), new Uint8Array(8)), BpfError);
    assert.throws(() => BpfMap.openPinned(`${path}-not`), rejects("MAP", /ENOENT/));
  } finally {
    rmSync(path, { force: true });
  }
});

kernelTest("a map that declares sizes only has no types, and says so", () => {
  using loaded = load();
  assert.throws(() => loaded.typedMap("stacks"), rejects("ARGUMENT", /__type/));
});

/** Relies on: Node keeps the descriptor of a server in `_handle.fd`. */
function unsafeDescriptor(server: object): number {
  return (server as { readonly _handle: { readonly fd: number } })._handle.fd;
}
