// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  BpfError,
  buildIdOf,
  demangle,
  ElfFile,
  FunctionIndex,
  functionOffset,
  Symbolizer,
} from "../src/index.ts";
import {
  buildObjects,
  counter,
  kernelTest,
  libcPath,
  loadAttach,
  TARGET_PROGRAM,
  TargetProcess,
} from "./support.ts";

buildObjects();

const BUILD = fileURLToPath(new URL("build/", import.meta.url));
const ADDON = fileURLToPath(new URL("../native/libbpf_ts.node", import.meta.url));
const hasGo = existsSync(`${BUILD}shop-stripped`);
const withoutGo = hasGo ? {} : { skip: "Go is not installed" };

/** The address in a process of a place in its own program file. */
function addressIn(pid: number, fileOffset: number, file = "target"): bigint {
  const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
  const line = /^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ \d+ +(.*)$/gm;
  for (const [, start = "", end = "", offset = "", path = ""] of maps.matchAll(line)) {
    const first = Number.parseInt(offset, 16);
    const bytes = Number.parseInt(end, 16) - Number.parseInt(start, 16);
    if (path.endsWith(file) && fileOffset >= first && fileOffset < first + bytes) {
      return BigInt(`0x${start}`) + BigInt(fileOffset - first);
    }
  }
  throw new Error(`${file} of process ${pid} has nothing at ${fileOffset}`);
}

/** `nm` and `go tool nm` as the second opinion. */
function addressByTool(command: string, words: readonly string[], name: string): number {
  const text = execFileSync(command, [...words], { encoding: "utf8" });
  const line = text.split("\n").find((each) => each.endsWith(` ${name}`)) ?? "";
  return Number.parseInt(line.trim().split(/\s+/)[0] ?? "", 16);
}

test("functions of a C program are where nm says", () => {
  using elf = ElfFile.open(TARGET_PROGRAM);
  const address = addressByTool("nm", [TARGET_PROGRAM], "target_double");
  const place = functionOffset(TARGET_PROGRAM, "target_double");
  assert.equal(place.offset, elf.fileOffset(address));
  assert.equal(elf.virtualAddress(place.offset), address);
});

test("functions of a stripped library are found by its dynamic symbols", () => {
  assert.ok(functionOffset(libcPath(), "malloc").bytes > 0);
  assert.throws(
    () => functionOffset(libcPath(), "mallock"),
    (error) => error instanceof BpfError && /Did you mean "malloc"\?/.test(error.message),
  );
  assert.throws(() => functionOffset("/etc/passwd", "x"), BpfError);
});

test("an indirect function is refused, because its symbol is not its code", () => {
  assert.throws(
    () => functionOffset(libcPath(), "strlen"),
    (error) =>
      error instanceof BpfError && error.code === "ARGUMENT" && /ifunc/.test(error.message),
  );
});

test("C++ and Rust names are demangled", () => {
  assert.equal(demangle("_ZN4shop5priceEi"), "shop::price(int)");
  assert.equal(demangle("_ZN3std2io5stdio6_print17h0123456789abcdefE"), "std::io::stdio::_print");
  assert.equal(demangle("_RNvC7mycrate3foo"), "mycrate::foo");
  assert.equal(demangle("malloc"), "malloc");
});

test("C++ functions are found by their readable names; overloads need their arguments", () => {
  const path = `${BUILD}shapes`;
  if (!existsSync(path)) {
    return;
  }
  using index = FunctionIndex.open(path);
  assert.equal(index.find("shop::price").length, 2);
  assert.equal(functionOffset(path, "shop::price(int)").symbol, "_ZN4shop5priceEi");
  assert.equal(functionOffset(path, "shop::Basket::total").symbol, "_ZNK4shop6Basket5totalEi");
  assert.equal(index.matching("shop::*").length, 3, "a template begins with its return type");
  assert.throws(
    () => functionOffset(path, "shop::price"),
    (error) => error instanceof BpfError && /2 have that name/.test(error.message),
  );
});

test("Rust functions are found and named by their paths, here in the addon itself", () => {
  using index = FunctionIndex.open(ADDON);
  const found = index.matching("blazesym::symbolize::*");
  assert.ok(found.length > 0);
  using elf = ElfFile.open(ADDON);
  using symbolizer = new Symbolizer();
  for (const { offset } of found.slice(0, 5)) {
    const [frame] = symbolizer.file(ADDON, [BigInt(elf.virtualAddress(offset) ?? 0)]);
    assert.match(frame?.name ?? "", /blazesym::/);
    assert.doesNotMatch(frame?.name ?? "", /17h[0-9a-f]{16}/, "without the hash");
  }
});

test("functions of a stripped Go program are where the unstripped one has them", withoutGo, () => {
  using stripped = ElfFile.open(`${BUILD}shop-stripped`);
  assert.equal(stripped.hasSymbolTable, false);
  for (const name of ["main.sell", "main.(*basket).total", "runtime.mallocgc"]) {
    const address = addressByTool("go", ["tool", "nm", `${BUILD}shop`], name);
    using full = ElfFile.open(`${BUILD}shop`);
    const there = functionOffset(`${BUILD}shop-stripped`, name).offset;
    assert.equal(
      stripped.virtualAddress(there),
      full.virtualAddress(full.fileOffset(address) ?? 0),
    );
  }
});

test("a Go program's addresses get names and lines, stripped or not", withoutGo, () => {
  using symbolizer = new Symbolizer();
  for (const file of ["shop", "shop-stripped"]) {
    const path = `${BUILD}${file}`;
    using elf = ElfFile.open(path);
    const address = elf.virtualAddress(functionOffset(path, "main.sell").offset) ?? 0;
    const [frame] = symbolizer.file(path, [BigInt(address)]);
    assert.equal(frame?.name, "main.sell", file);
    assert.match(frame?.file ?? "", /shop\.go$/);
    const lines = readFileSync(new URL("programs/shop.go", import.meta.url), "utf8").split("\n");
    const expected = lines.findIndex((line) => line.startsWith("func sell")) + 1;
    assert.ok(Math.abs((frame?.line ?? 0) - expected) <= 1, `line ${frame?.line}`);
  }
});

test("build ids are what readelf prints", () => {
  const notes = execFileSync(process.env["READELF"] ?? "readelf", ["-n", TARGET_PROGRAM], {
    encoding: "utf8",
  });
  assert.equal(buildIdOf(TARGET_PROGRAM), /Build ID: ([0-9a-f]+)/.exec(notes)?.[1]);
});

test("an address of a process gets name, line, inlined function, module and build id", async () => {
  await using target = new TargetProcess();
  await target.work();
  using symbolizer = new Symbolizer();
  const { offset } = functionOffset(TARGET_PROGRAM, "target_outer");
  const [frame] = symbolizer.process(target.pid, [addressIn(target.pid, offset)]);
  assert.equal(frame?.name, "target_outer");
  assert.equal(frame.module, TARGET_PROGRAM);
  assert.equal(frame.buildId, buildIdOf(TARGET_PROGRAM));
  assert.match(frame.file ?? "", /target\.c$/);
  const anywhere = Array.from(
    { length: 12 },
    (_, more) => addressIn(target.pid, offset) + BigInt(more),
  );
  const all = symbolizer.process(target.pid, anywhere).flatMap((each) => each.inlined);
  assert.ok(all.some((each) => each.name === "inner_step"));
});

test("callers of a stack are looked up before their return address", async () => {
  await using target = new TargetProcess();
  await target.work();
  using symbolizer = new Symbolizer();
  const place = functionOffset(TARGET_PROGRAM, "target_double");
  const end = addressIn(target.pid, place.offset) + BigInt(place.bytes);
  const frames = symbolizer.process(target.pid, [end, end], { isStack: true });
  assert.equal(frames[1]?.name, "target_double", "the byte before the address");
  assert.notEqual(frames[0]?.name, "target_double");
  assert.equal(symbolizer.process(target.pid, [8n])[0]?.reason, "unmapped");
});

test("a process that has ended is named by what was seen of it", async () => {
  using symbolizer = new Symbolizer();
  const target = new TargetProcess();
  const { pid } = target;
  await target.work();
  const address = addressIn(pid, functionOffset(TARGET_PROGRAM, "target_triple").offset);
  assert.equal(symbolizer.process(pid, [address])[0]?.name, "target_triple");
  await target[Symbol.asyncDispose]();
  assert.equal(symbolizer.process(pid, [address])[0]?.name, "target_triple");
  symbolizer.forget(pid);
  assert.equal(symbolizer.process(pid, [address])[0]?.name, undefined);
});

test("a runtime's perf map names its code, in both spellings", () => {
  const path = `/tmp/perf-${process.pid}.map`;
  const maps = readFileSync("/proc/self/maps", "utf8");
  const free = 0x10_0000;
  assert.ok(!maps.startsWith("00100000"));
  try {
    using symbolizer = new Symbolizer();
    writeFileSync(path, `0x${free.toString(16)} 40 int Shop.sell(int)\n`);
    const [java] = symbolizer.process(process.pid, [BigInt(free + 8)]);
    assert.equal(java?.name, "int Shop.sell(int)");
    assert.equal(java?.offset, 8);
    writeFileSync(path, `${free.toString(16)} 40 JS:~serve /app/serve.js:1:1\n`);
    const again = new Symbolizer().process(process.pid, [BigInt(free)]);
    assert.equal(again[0]?.name, "JS:~serve /app/serve.js:1:1");
  } finally {
    rmSync(path, { force: true });
  }
});

kernelTest("kernel addresses get names", () => {
  const symbols = readFileSync("/proc/kallsyms", "utf8");
  const line = /^([0-9a-f]{16}) T (do_nanosleep|schedule)$/m.exec(symbols);
  assert.ok(line !== null);
  using symbolizer = new Symbolizer();
  const [frame] = symbolizer.kernel([BigInt(`0x${line[1]}`)]);
  assert.equal(frame?.name, line[2]);
  assert.equal(frame?.module, "[kernel]");
});

kernelTest("a process in another mount namespace is named and probed", async () => {
  const script = `mount -t tmpfs none /mnt && cp ${TARGET_PROGRAM} /mnt/hidden && exec /mnt/hidden`;
  await using target = new TargetProcess("unshare", ["--mount", "sh", "-c", script]);
  await target.work();
  assert.equal(existsSync("/mnt/hidden"), false, "this process does not see the file");
  using symbolizer = new Symbolizer();
  const { offset } = functionOffset(TARGET_PROGRAM, "target_double");
  const [frame] = symbolizer.process(target.pid, [addressIn(target.pid, offset, "hidden")]);
  assert.equal(frame?.name, "target_double");
  assert.equal(frame?.module, "/mnt/hidden");
  using loaded = loadAttach(["on_uretprobe"]);
  const path = `/proc/${target.pid}/root/mnt/hidden`;
  loaded.attach("on_uretprobe", { kind: "uprobe", path, symbol: "target_double", pid: target.pid });
  await target.work();
  assert.equal(counter(loaded, "uretprobe_value"), 42);
});

kernelTest("a uprobe goes into a stripped Go program by the function's name", async () => {
  if (!hasGo) {
    return;
  }
  await using target = new TargetProcess(`${BUILD}shop-stripped`);
  using loaded = loadAttach(["on_uprobe"]);
  const path = `${BUILD}shop-stripped`;
  loaded.attach("on_uprobe", { kind: "uprobe", path, symbol: "main.sell", pid: target.pid });
  await target.work();
  assert.equal(counter(loaded, "uprobe_hits"), 1);
});
