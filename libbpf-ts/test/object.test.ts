// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BpfError, type BpfErrorCode, NotSupportedError, openObject } from "../src/index.ts";
import {
  buildObjects,
  kernelTest,
  loadRing,
  objectPath,
  openRingObject,
  provoke,
} from "./support.ts";

buildObjects();

function hasCode(code: BpfErrorCode, pattern?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BpfError, String(error));
    assert.equal(error.code, code, error.message);
    if (pattern !== undefined) {
      assert.match(error.message, pattern);
    }
    return true;
  };
}

test("an open object names its programs, maps and variables", () => {
  using object = openRingObject();
  assert.deepEqual(
    object.programs.map(({ name, section }) => ({ name, section })),
    [{ name: "on_call", section: "tp_btf/sys_enter" }],
  );
  assert.deepEqual(
    object.maps.map((map) => map.name),
    ["events", "numbers", "per_cpu", "mapped"],
  );
  assert.deepEqual(object.bss.variables.map((each) => each.name).sort(), [
    "calls",
    "refused",
    "sequence",
  ]);
});

test("variables read as the values that the program was compiled with", () => {
  using object = openObject(objectPath("ring"));
  assert.equal(object.rodata.get("negative"), -7);
  assert.equal(object.rodata.get("ratio"), 0.5);
  assert.equal(object.rodata.get("vary_length"), false);
  assert.equal(object.rodata.get("target_syscall"), -1n);
  assert.equal(object.data.get("seed"), 42n);
});

test("variables keep what they are set to, by number, bigint, boolean and bytes", () => {
  using object = openObject(objectPath("ring"));
  const label = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  object.rodata.set({ negative: -32768, vary_length: true, target_syscall: 1n << 40n, label });
  object.rodata.set({ ratio: 0.25, target_pid: 0xffff_ffff });
  assert.equal(object.rodata.get("negative"), -32768);
  assert.equal(object.rodata.get("vary_length"), true);
  assert.equal(object.rodata.get("target_syscall"), 1n << 40n);
  assert.deepEqual(object.rodata.get("label"), label);
  assert.equal(object.rodata.get("ratio"), 0.25);
  assert.equal(object.rodata.get("target_pid"), 0xffff_ffff);
});

test("a value that does not fit its variable is refused with the reason", () => {
  using object = openObject(objectPath("ring"));
  const { rodata } = object;
  assert.throws(() => rodata.set({ negative: 32768 }), hasCode("ARGUMENT", /does not fit/));
  assert.throws(() => rodata.set({ target_pid: -1 }), hasCode("ARGUMENT", /unsigned int, 4 bytes/));
  assert.throws(() => rodata.set({ target_pid: 1.5 }), hasCode("ARGUMENT", /safe integer/));
  assert.throws(() => rodata.set({ vary_length: 2 }), hasCode("ARGUMENT", /neither true/));
  assert.throws(() => rodata.set({ label: 5 }), hasCode("ARGUMENT", /Uint8Array/));
  assert.throws(
    () => rodata.set({ label: new Uint8Array(9) }),
    hasCode("ARGUMENT", /9 bytes were given/),
  );
});

test("a wrong name is an error that names the nearest right one", () => {
  using object = openRingObject();
  assert.throws(
    () => object.rodata.set({ targt_pid: 1 }),
    hasCode("UNKNOWN_NAME", /Did you mean "target_pid"\?/),
  );
  assert.throws(() => object.program("oncall"), hasCode("UNKNOWN_NAME", /"on_call"/));
  assert.throws(() => object.map("event"), hasCode("UNKNOWN_NAME", /"events"/));
  assert.throws(() => object.bss.get("zzzzzz"), hasCode("UNKNOWN_NAME", /It has "/));
});

test("a file that is not there, not ELF, or cut short is an error of code OPEN", () => {
  assert.throws(() => openObject("/nonexistent/x.bpf.o"), hasCode("OPEN", /ENOENT/));
  assert.throws(() => openObject(new Uint8Array(0)), hasCode("OPEN"));
  assert.throws(() => openObject(Buffer.from("not an object file")), hasCode("OPEN"));
  const whole = readFileSync(objectPath("ring"));
  for (let bytes = 1; bytes < whole.length; bytes += 97) {
    assert.throws(() => openObject(whole.subarray(0, bytes)), hasCode("OPEN"));
  }
});

kernelTest("a program that the verifier refuses says which, why, and keeps the whole log", () => {
  const object = openObject(objectPath("refused"));
  assert.throws(
    () => object.load(),
    (error) => {
      assert.ok(error instanceof BpfError);
      assert.equal(error.code, "VERIFIER");
      assert.equal(error.errno, "EACCES");
      assert.equal(error.program, "reads_wild_memory");
      assert.match(error.message, /R1 invalid mem access 'scalar'/);
      assert.equal(error.instruction, 1, "after the load of the argument");
      assert.match(error.message, /refused by the verifier at instruction 1\./);
      assert.match(error.log, /processed \d+ insns/);
      assert.equal(error.logTail(1).length, 1);
      return true;
    },
  );
  assert.throws(() => object.load(), hasCode("CLOSED"));
});

kernelTest("a hook that this kernel lacks is a NotSupportedError", () => {
  const object = openObject(objectPath("refused"));
  object.program("reads_wild_memory").setAutoload(false);
  object.program("no_such_hook").setAutoload(true);
  assert.throws(
    () => object.load(),
    (error) => {
      assert.ok(error instanceof NotSupportedError);
      assert.equal(error.program, "no_such_hook");
      return true;
    },
  );
});

kernelTest("programs that are switched off are neither loaded nor attachable", () => {
  const object = openObject(objectPath("refused"));
  object.program("reads_wild_memory").setAutoload(false);
  object.program("harmless").setAutoload(true);
  using loaded = object.load();
  assert.deepEqual(
    loaded.programs.map((each) => each.name),
    ["harmless"],
  );
  loaded.attach("harmless").detach();
  assert.throws(() => loaded.attach("no_such_hook"), hasCode("ARGUMENT", /not loaded/));
  assert.throws(() => loaded.attach("harmles"), hasCode("UNKNOWN_NAME", /"harmless"/));
});

kernelTest(
  "a load on another thread gives a loaded object, which nobody else uses meanwhile",
  async () => {
    const object = openRingObject();
    const loading = object.loadAsync();
    assert.throws(() => object.load(), hasCode("CLOSED"));
    object.close();
    using loaded = await loading;
    loaded.attach("on_call");
    using bss = loaded.mapGlobal(".bss");
    provoke(4);
    assert.equal(bss.get("calls"), 4n);
  },
);

kernelTest("a load on another thread that the verifier refuses names the program", async () => {
  const object = openObject(objectPath("refused"));
  object.program("no_such_hook").setAutoload(false);
  object.program("reads_wild_memory").setAutoload(true);
  await assert.rejects(object.loadAsync(), (error) => {
    assert.ok(error instanceof BpfError);
    assert.deepEqual([error.code, error.program], ["VERIFIER", "reads_wild_memory"]);
    assert.match(error.log, /reads_wild_memory/);
    return true;
  });
});

kernelTest("variables set before load are what the program sees", () => {
  using loaded = loadRing({ records_per_call: 3 });
  loaded.attach("on_call");
  using bss = loaded.mapGlobal(".bss");
  provoke(10);
  assert.equal(bss.get("calls"), 10n);
  assert.equal(bss.get("sequence"), 30);
});

kernelTest("a detached program no longer runs", () => {
  using loaded = loadRing();
  const link = loaded.attach("on_call");
  using bss = loaded.mapGlobal(".bss");
  provoke(2);
  link.detach();
  link.detach();
  provoke(5);
  assert.equal(bss.get("calls"), 2n);
  assert.throws(() => link.readIter(), hasCode("CLOSED"));
});

kernelTest("mapped globals are live in both directions, and .rodata stays read-only", () => {
  using loaded = loadRing();
  loaded.attach("on_call");
  using bss = loaded.mapGlobal(".bss");
  const { offset } = bss.variable("calls");
  provoke(3);
  assert.equal(bss.view.getUint32(offset, true), 3);
  bss.set({ calls: 100n });
  provoke(1);
  assert.equal(bss.get("calls"), 101n);
  using rodata = loaded.mapGlobal(".rodata");
  assert.equal(rodata.get("target_pid"), process.pid);
  assert.throws(() => rodata.set({ target_pid: 1 }), hasCode("ARGUMENT", /read-only/));
  assert.throws(() => loaded.mapGlobal(".bsss"), hasCode("UNKNOWN_NAME", /"\.bss"/));
});

kernelTest("everything is a CLOSED error after close, and a second close does nothing", () => {
  const loaded = loadRing();
  const map = loaded.map("numbers");
  const ring = loaded.ring("events");
  const bss = loaded.mapGlobal(".bss");
  const program = loaded.program("on_call");
  const link = loaded.attach("on_call");
  loaded.close();
  loaded.close();
  link.detach();
  assert.throws(() => loaded.attach("on_call"), hasCode("CLOSED"));
  assert.throws(() => loaded.map("numbers"), hasCode("CLOSED"));
  assert.throws(() => loaded.mapGlobal(".bss"), hasCode("CLOSED"));
  assert.throws(() => map.get(new Uint8Array(4)), hasCode("CLOSED"));
  assert.throws(() => map.fd, hasCode("CLOSED"));
  assert.throws(() => program.info, hasCode("CLOSED"));
  assert.equal(bss.get("calls"), 0n, "mappings outlive the object");
  bss.close();
  bss.close();
  assert.throws(() => bss.get("calls"), hasCode("CLOSED"));
  ring.close();
  ring.close();
  assert.throws(() => ring.drain(() => {}, 1), hasCode("CLOSED"));
});

test("an object that was closed cannot be changed or loaded", () => {
  const object = openRingObject();
  object.close();
  object.close();
  assert.throws(() => object.rodata.set({ target_pid: 1 }), hasCode("CLOSED"));
  assert.throws(() => object.map("events").setMaxEntries(4096), hasCode("CLOSED"));
  assert.throws(() => object.load(), hasCode("CLOSED"));
});
