// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  BpfError,
  type BpfErrorCode,
  BpfMap,
  Btf,
  ElfFile,
  FunctionIndex,
  GoFunctionTable,
  KernelBtf,
  Link,
  MAP_TYPE,
  openObject,
  PerfMap,
  Symbolizer,
} from "../src/index.ts";
import {
  buildObjects,
  kernelTest,
  loadAttach,
  objectPath,
  TARGET_PROGRAM,
  u32,
} from "./support.ts";

buildObjects();

const BUILD = fileURLToPath(new URL("build/", import.meta.url));
const MUTANTS = Number(process.env["LIBBPF_TS_MUTANTS"] ?? 400);

function fails(code: BpfErrorCode, errno?: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BpfError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(errno === undefined || error.errno === errno, error.message);
    return true;
  };
}

/** xorshift32: the same mutants for the same seed. */
function randomFrom(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e37_79b1) | 1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** Damages a few bytes, mostly where headers are, or cuts the file. */
function mutate(whole: Uint8Array, seed: number): Uint8Array {
  const random = randomFrom(seed);
  const bytes = Uint8Array.from(whole);
  for (let change = 0; change <= random() % 6; change++) {
    const isHeader = random() % 2 === 0;
    const at = random() % (isHeader ? 64 : bytes.length);
    bytes[isHeader && random() % 2 === 0 ? bytes.length - 1 - at : at] = random() & 0xff;
  }
  return random() % 8 === 0 ? bytes.subarray(0, random() % bytes.length) : bytes;
}

/** Runs over mutants; anything but a result or a typed error is a fault. */
function survives(name: string, whole: Uint8Array, read: (bytes: Uint8Array) => void): void {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  for (let mutant = 0; mutant < MUTANTS; mutant++) {
    try {
      read(mutate(whole, seed + mutant));
    } catch (error) {
      const isTyped = error instanceof BpfError && error.code !== "INTERNAL";
      assert.ok(isTyped, `SEED=${seed + mutant} ${name}: ${String(error)}`);
    }
  }
}

test("damaged programs and tables are refused with a typed error, or read", () => {
  const readElf = (bytes: Uint8Array): void => {
    using elf = ElfFile.over("mutant", bytes);
    let count = 0;
    for (const each of elf.functions()) {
      elf.fileOffset(each.address);
      count++;
    }
    elf.functionsNamed("main");
    assert.ok(elf.buildId !== "" && count < 1e6);
    const go = GoFunctionTable.read(elf);
    if (go !== undefined) {
      go.find(0x401000);
      go.line(0x401000);
    }
  };
  survives("ELF", readFileSync(TARGET_PROGRAM), readElf);
  if (existsSync(`${BUILD}shop-stripped`)) {
    const whole = readFileSync(`${BUILD}shop-stripped`);
    for (let seed = 0; seed < 10; seed++) {
      survives("Go", mutate(whole, seed).slice(0, 4096), readElf);
    }
  }
  const types = ElfFile.over("maps", readFileSync(objectPath("maps")));
  const section = types.section(".BTF");
  assert.ok(section !== undefined);
  survives("BTF", types.readSection(section), (bytes) => void Btf.parse(bytes).names());
  survives("perf map", Buffer.from("1000 10 work\n0x2000 20 more\n".repeat(50)), (bytes) => {
    PerfMap.parse(Buffer.from(bytes).toString("latin1")).find(0x1008);
  });
});

test("a Go table with damaged entries answers, or says that it is none", () => {
  const path = `${BUILD}shop-stripped`;
  if (!existsSync(path)) {
    return;
  }
  const whole = readFileSync(path);
  const section = ElfFile.over(path, whole).section(".gopclntab");
  assert.ok(section !== undefined);
  const random = randomFrom(Number(process.env["SEED"] ?? 7));
  for (let mutant = 0; mutant < MUTANTS / 4; mutant++) {
    const bytes = Uint8Array.from(whole);
    for (let change = 0; change < 40; change++) {
      const within = random() % 2 === 0 ? 80 : section.bytes;
      bytes[section.offset + (random() % within)] = random() & 0xff;
    }
    const go = GoFunctionTable.read(ElfFile.over("mutant", bytes));
    for (let step = 0; step < 50; step++) {
      const address = 0x401000 + (random() % 600_000);
      try {
        go?.find(address);
        go?.line(address);
      } catch (error) {
        assert.fail(`mutant ${mutant}, address ${address}: ${String(error)}`);
      }
    }
  }
});

kernelTest("use after close is a CLOSED error, and a second close does nothing", () => {
  const loaded = loadAttach(["on_trace"]);
  const link = loaded.attach("on_trace");
  const program = loaded.program("on_trace");
  const { sockets } = { sockets: loaded.map("sockets") };
  link.detach();
  link.detach();
  assert.throws(() => link.info, fails("CLOSED"));
  assert.throws(() => link.pin("/sys/fs/bpf/never"), fails("CLOSED"));
  loaded.close();
  loaded.close();
  assert.throws(() => program.run(), fails("CLOSED"));
  assert.throws(() => program.fd, fails("CLOSED"));
  assert.throws(() => loaded.attach("on_trace"), fails("CLOSED"));
  assert.throws(() => sockets.readAll(), fails("CLOSED"));
  const symbolizer = new Symbolizer();
  symbolizer.close();
  symbolizer.close();
  assert.throws(() => symbolizer.kernel([1n]), fails("CLOSED"));
  const index = FunctionIndex.open(TARGET_PROGRAM);
  index.close();
  index.close();
  assert.throws(() => index.find("main"), fails("CLOSED"));
  const btf = KernelBtf.load();
  btf.close();
  assert.throws(() => btf.typeId("task_struct", 4), fails("CLOSED"));
});

kernelTest("what the kernel has no room for is an error with its errno", () => {
  const shape = { name: "big", keySize: 4, valueSize: 8 };
  const huge = { ...shape, type: MAP_TYPE.array, valueSize: 1 << 30, maxEntries: 1 << 30 };
  assert.throws(
    () => BpfMap.create(huge),
    (error) => {
      assert.ok(error instanceof BpfError && error.code === "MAP");
      assert.match(error.errno ?? "", /^(E2BIG|ENOMEM|EINVAL|EOVERFLOW)$/);
      return true;
    },
  );
  using full = BpfMap.create({ ...shape, type: MAP_TYPE.hash, maxEntries: 1 });
  full.set(u32(1), new Uint8Array(8));
  assert.throws(() => full.set(u32(2), new Uint8Array(8)), fails("MAP", "E2BIG"));
  const keys = new Uint8Array(Uint32Array.of(1, 2, 3).buffer);
  assert.throws(() => full.setBatch(keys, new Uint8Array(24)), fails("MAP", "E2BIG"));
  assert.throws(() => full.setBatch(keys, new Uint8Array(23)), fails("ARGUMENT"));
  assert.throws(() => full.deleteBatch(new Uint8Array(3)), fails("ARGUMENT"));
  using stack = BpfMap.create({ ...shape, type: MAP_TYPE.stack, keySize: 0, maxEntries: 1 });
  assert.throws(() => [...stack.keys()], fails("ARGUMENT"));
});

kernelTest("wrong shapes and paths of pins, programs and links are typed errors", () => {
  using loaded = loadAttach(["on_trace", "on_perf"]);
  const link = loaded.attach("on_trace");
  assert.throws(() => link.pin("/proc/nowhere"), BpfError);
  assert.throws(() => Link.openPinned("/sys/fs/bpf/not-there"), fails("ATTACH", "ENOENT"));
  assert.throws(() => link.readIter(), BpfError);
  assert.throws(() => loaded.program("on_trace").run({ data: new Uint8Array(3) }), BpfError);
  const other = { kind: "socket", fd: 999_999 } as const;
  assert.throws(() => loaded.attach("on_trace", other), fails("ATTACH", "EBADF"));
  assert.throws(
    () => loaded.attach("on_trace", { kind: "tracepoint", category: "none", name: "none" }),
    BpfError,
  );
  assert.throws(
    () => loaded.attach("on_trace", { kind: "uprobe_multi", path: TARGET_PROGRAM, targets: [] }),
    fails("UNKNOWN_NAME"),
  );
});

test("an object that is used up cannot be set any more", () => {
  const object = openObject(objectPath("maps"));
  const program = object.program("emit");
  const map = object.map("lru");
  object.close();
  object.close();
  assert.throws(() => program.setType({ type: 1 }), fails("CLOSED"));
  assert.throws(() => map.setPinPath(undefined), fails("CLOSED"));
  assert.throws(() => object.rodata.setTyped({ target_pid: 1 }), fails("CLOSED"));
});
