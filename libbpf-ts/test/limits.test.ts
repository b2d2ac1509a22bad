// SPDX-License-Identifier: Apache-2.0
// What the kernel has no room for: each refusal is an error with the kernel's errno.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import {
  BpfError,
  type BpfErrorCode,
  BpfMap,
  MAP_FLAG,
  MAP_TYPE,
  openObject,
} from "../src/index.ts";
import { buildObjects, kernelTest, objectPath, u32 } from "./support.ts";

buildObjects();

const run = promisify(execFile);
const SUPPORT = new URL("support.ts", import.meta.url).href;

function fails(code: BpfErrorCode, errno: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BpfError, String(error));
    assert.deepEqual([error.code, error.errno], [code, errno], error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** Runs lines in a process of its own, after `prlimit` on it; gives what they print. */
async function limited(limit: string, lines: string, prepare = ""): Promise<string> {
  const script = `
    import { execFileSync } from "node:child_process";
    import { readFileSync } from "node:fs";
    import { BpfError } from ${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)};
    import { loadRing, openRingObject } from ${JSON.stringify(SUPPORT)};
    const status = readFileSync("/proc/self/status", "utf8");
    const bytes = Number(/^VmSize:\\s+(\\d+)/m.exec(status)[1]) * 1024;
    ${prepare}
    execFileSync("prlimit", ["--pid", String(process.pid), \`${limit}\`]);
    try {
      ${lines}
      console.log("done");
    } catch (error) {
      console.log(error instanceof BpfError, error.code, error.errno, error.message);
    }`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
  return stdout.trim();
}

kernelTest("maps larger than the kernel makes are E2BIG, larger than its memory ENOMEM", () => {
  const create = (type: number, valueSize: number, maxEntries: number): (() => BpfMap) => {
    const keySize = type === MAP_TYPE.queue ? 0 : 4;
    return () => BpfMap.create({ name: "big", type, keySize, valueSize, maxEntries });
  };
  const advice = /create map "big": .*\. \S+/;
  assert.throws(create(MAP_TYPE.hash, 8, 0xffff_ffff), fails("MAP", "E2BIG", advice));
  assert.throws(create(MAP_TYPE.hash, 1 << 27, 8), fails("MAP", "E2BIG", advice));
  const tebibyte = [1 << 20, 1 << 20] as const;
  assert.throws(create(MAP_TYPE.array, ...tebibyte), fails("MAP", "ENOMEM", advice));
  assert.throws(create(MAP_TYPE.queue, ...tebibyte), fails("MAP", "ENOMEM", advice));
});

kernelTest("an object whose map the kernel cannot make names the map", () => {
  const object = openObject(objectPath("ring"));
  object.map("numbers").setMaxEntries(0xffff_ffff);
  assert.throws(
    () => object.load(),
    fails("LOAD", "E2BIG", /create map "numbers": E2BIG\. Too big/),
  );
});

kernelTest("maps that are full say so: E2BIG, of a trie ENOSPC, of a queue E2BIG", () => {
  const shape = { name: "full", keySize: 4, valueSize: 4, maxEntries: 1 };
  using hash = BpfMap.create({ ...shape, type: MAP_TYPE.hash });
  hash.set(u32(1), u32(1));
  assert.throws(() => hash.set(u32(2), u32(2)), fails("MAP", "E2BIG", /set map "full"/));
  using array = BpfMap.create({ ...shape, type: MAP_TYPE.array });
  assert.throws(() => array.set(u32(1), u32(2)), fails("MAP", "E2BIG", /set map "full"/));
  const trie = { ...shape, type: MAP_TYPE.lpmTrie, keySize: 8, flags: MAP_FLAG.noPreallocation };
  using routes = BpfMap.create(trie);
  const route = (last: number): Uint8Array => Uint8Array.of(32, 0, 0, 0, 10, 0, 0, last);
  routes.set(route(1), u32(1));
  assert.throws(() => routes.set(route(2), u32(2)), fails("MAP", "ENOSPC", /a map is full/));
  using queue = BpfMap.create({ ...shape, type: MAP_TYPE.queue, keySize: 0 });
  queue.set(new Uint8Array(0), u32(1));
  assert.throws(
    () => queue.set(new Uint8Array(0), u32(2)),
    fails("MAP", "E2BIG", /set map "full"/),
  );
});

kernelTest("a program over the verifier's limit is E2BIG, with the end of its long log", () => {
  const object = openObject(objectPath("refused"));
  object.program("reads_wild_memory").setAutoload(false);
  object.program("too_long").setAutoload(true);
  assert.throws(
    () => object.load(),
    (error) => {
      assert.ok(error instanceof BpfError);
      assert.deepEqual([error.code, error.errno, error.program], ["VERIFIER", "E2BIG", "too_long"]);
      assert.match(error.message, /BPF program is too large/);
      assert.ok(error.instruction !== undefined);
      return true;
    },
  );
});

kernelTest("no descriptors left is EMFILE with advice, and a later load works", async () => {
  const prepare = `
    const { closeSync, openSync } = await import("node:fs");
    const object = openRingObject();`;
  const said = await limited(
    "--nofile=64:1024",
    `const held = [];
     for (;;) try { held.push(openSync("/dev/null")); } catch { break; }
     for (const attempt of [() => openRingObject(), () => object.load()])
       try { attempt(); } catch (error) { console.log(error.code, error.errno, error.message); }
     for (const fd of held) closeSync(fd);
     loadRing().close();`,
    prepare,
  );
  assert.match(said, /^OPEN EMFILE .*ulimit -n.*\nLOAD EMFILE .*ulimit -n.*\ndone$/);
});

kernelTest("no address space for a ring is ENOMEM", async () => {
  const prepare = `
    const object = openRingObject();
    object.map("events").setMaxEntries(64 << 20);
    const loaded = object.load();`;
  // Room for what Node itself asks for meanwhile, not for a ring that is mapped twice.
  const limit = "--as=$" + "{bytes + (100 << 20)}";
  const said = await limited(limit, `loaded.ring("events");`, prepare);
  assert.match(said, /^true \w+ ENOMEM .*events/);
});

kernelTest("no locked memory is no obstacle: kernels from 5.11 on do not count it", async () => {
  const said = await limited("--memlock=0:0", "loadRing().close();");
  assert.equal(said, "done");
});

kernelTest(
  "perf buffers over the limit of locked memory are EPERM and name the limit",
  async () => {
    const script = `
    import { openObject } from ${JSON.stringify(new URL("../src/index.ts", import.meta.url).href)};
    const loaded = openObject(${JSON.stringify(objectPath("maps"))}).load();
    try {
      loaded.perf("samples", { bytesPerCpu: 64 << 20 });
      console.log("mapped");
    } catch (error) {
      console.log(error.code, error.errno, error.message);
    }`;
    const words = ["--memlock=0:0", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    const node = [process.execPath, "--input-type=module", "-e", script];
    const { stdout } = await run("prlimit", [...words, ...node]);
    assert.match(stdout, /^KERNEL EPERM .*perf_event_mlock_kb/);
  },
);
