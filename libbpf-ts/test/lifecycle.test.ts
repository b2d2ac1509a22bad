// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { guarded } from "../src/failure.ts";
import {
  BpfError,
  enableStats,
  hasTracepoint,
  KernelBtf,
  openObject,
  probe,
} from "../src/index.ts";
import { native } from "../src/native.ts";
import {
  buildObjects,
  kernelTest,
  loadRing,
  nextTurn,
  objectPath,
  openFdCount,
  provoke,
} from "./support.ts";

buildObjects();

const INDEX = new URL("../src/index.ts", import.meta.url).href;
const NOBODY = 65534;
const run = promisify(execFile);

function bpfMappingCount(): number {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => line.includes("bpf")).length;
}

kernelTest(
  "200 cycles of load, attach, read and close leave no descriptor and no mapping",
  async () => {
    const cycle = async (): Promise<void> => {
      const loaded = loadRing({ records_per_call: 2 });
      const ring = loaded.ring("events");
      const bss = loaded.mapGlobal(".bss");
      loaded.attach("on_call");
      provoke(1);
      assert.equal(
        ring.drain(() => {}, 10),
        2,
      );
      loaded.map("numbers").get(new Uint8Array(4));
      ring.close();
      bss.close();
      loaded.close();
      await nextTurn();
    };
    await cycle();
    const fds = openFdCount();
    const mappings = bpfMappingCount();
    const resident = process.memoryUsage().rss;
    for (let round = 0; round < 200; round++) {
      await cycle();
    }
    await nextTurn();
    assert.equal(openFdCount(), fds);
    assert.equal(bpfMappingCount(), mappings);
    const growth = process.memoryUsage().rss - resident;
    assert.ok(growth < 64 << 20, `resident memory grew by ${growth} bytes`);
  },
);

kernelTest("a load that fails leaves no descriptor", () => {
  const attempt = (): void => {
    assert.throws(() => openObject(objectPath("refused")).load(), BpfError);
  };
  attempt();
  const fds = openFdCount();
  for (let round = 0; round < 20; round++) {
    attempt();
  }
  assert.equal(openFdCount(), fds);
});

kernelTest("a task iterator writes the threads of this process, or the one asked for", () => {
  const object = openObject(objectPath("iter"));
  object.rodata.set({ target_pid: process.pid });
  using loaded = object.load();
  const read = (options?: { readonly tid: number }): number[] => {
    const bytes = loaded.runIterator("list_threads", options).slice();
    return [...new Uint32Array(bytes.buffer)];
  };
  const fds = openFdCount();
  const threads = read();
  assert.ok(threads.includes(process.pid));
  assert.ok(threads.length > 1, "Node has more threads than one");
  assert.deepEqual(read({ tid: process.pid }), [process.pid]);
  using link = loaded.attach("list_threads");
  assert.ok(link.readIter().length >= 4);
  assert.ok(link.readIter().length >= 4, "an iterator can be read again");
  link.detach();
  assert.equal(openFdCount(), fds);
});

kernelTest("run time statistics count while they are enabled", () => {
  using loaded = loadRing();
  loaded.attach("on_call");
  {
    using _stats = enableStats();
    provoke(100);
    const { runCount, runTimeNs } = loaded.program("on_call").stats();
    assert.ok(runCount >= 100, `${runCount} runs`);
    assert.ok(runTimeNs > 0);
  }
  const { info } = loaded.program("on_call");
  assert.ok(info.id > 0);
  assert.match(info.tag, /^[0-9a-f]{16}$/);
  assert.ok(info.jitedBytes > 0 || info.translatedBytes > 0);
});

kernelTest("the kernel's BTF knows tracepoints, functions and members, and only these", () => {
  assert.equal(hasTracepoint("sched_switch"), true);
  assert.equal(hasTracepoint("no_such_tracepoint"), false);
  const btf = KernelBtf.load();
  assert.equal(btf.hasMember("task_struct", "tgid"), true);
  assert.equal(btf.hasMember("task_struct", "no_such_member"), false);
  assert.equal(btf.hasMember("no_such_struct", "x"), false);
  assert.equal(btf.hasFunction("bpf_rdonly_cast"), btf.typeId("bpf_rdonly_cast", 12) !== 0);
  btf.close();
  btf.close();
  assert.throws(
    () => btf.hasTracepoint("x"),
    (error) => error instanceof BpfError && error.code === "CLOSED",
  );
});

test("a probe that fails names its errno and gives advice", () => {
  const report = probe();
  for (const result of [report.btf, report.tracing, report.ringBuffer, report.taskStorage]) {
    assert.equal(result.isSupported, result.errno === undefined);
    assert.equal(result.isSupported, result.advice === "");
  }
  assert.ok(report.possibleCpus >= 1);
});

kernelTest("without privileges a load is refused with EPERM and says what is needed", async () => {
  const code = `
    const { openObject } = await import(${JSON.stringify(INDEX)});
    try {
      openObject(${JSON.stringify(objectPath("ring"))}).load();
    } catch ({ code, errno, message }) {
      console.log(JSON.stringify({ code, errno, message }));
    }`;
  const options = { uid: NOBODY, gid: NOBODY, env: {} };
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], options);
  const said = JSON.parse(stdout);
  assert.equal(said.code, "LOAD");
  assert.equal(said.errno, "EPERM");
  assert.match(said.message, /CAP_BPF/);
});

test("a panic in the addon is an error of code INTERNAL, and the process goes on", () => {
  assert.throws(
    () => guarded({ code: "KERNEL", operation: "panic" }, () => native.panicForTest()),
    (error) =>
      error instanceof BpfError &&
      error.code === "INTERNAL" &&
      /asked to panic/.test(error.message),
  );
});

test("the addon works in a worker thread beside the main one", async () => {
  const code = `
    import { parentPort, workerData } from "node:worker_threads";
    const { openObject } = await import(workerData.index);
    using object = openObject(workerData.object);
    parentPort.postMessage(object.programs.map((each) => each.name));`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { index: INDEX, object: objectPath("ring") },
  });
  const [names] = await once(worker, "message");
  assert.deepEqual(names, ["on_call"]);
  await worker.terminate();
});
