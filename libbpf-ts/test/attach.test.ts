// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";

import {
  BpfError,
  ensureBpffs,
  functionOffset,
  Link,
  NotSupportedError,
  openObject,
  PERF_EVENT,
  probeAll,
} from "../src/index.ts";
import {
  buildObjects,
  counter,
  kernelTest,
  libcPath,
  loadAttach,
  objectPath,
  provoke,
  TARGET_PROGRAM,
  TargetProcess,
  u32,
} from "./support.ts";

buildObjects();

const COOKIE = 0xfeed_0000_0000_0007n;

kernelTest("a tracepoint runs its program, by section and by name with a cookie", () => {
  using loaded = loadAttach(["on_tracepoint"]);
  loaded.attach("on_tracepoint").detach();
  const target = { kind: "tracepoint", category: "syscalls", name: "sys_enter_getppid" } as const;
  using link = loaded.attach("on_tracepoint", { ...target, cookie: COOKIE });
  provoke(5);
  assert.equal(counter(loaded, "tracepoint_hits"), 5);
  assert.equal(BigInt(counter(loaded, "tracepoint_cookie")), BigInt(Number(COOKIE)));
  link.detach();
  provoke(5);
  assert.equal(counter(loaded, "tracepoint_hits"), 5);
});

kernelTest("a raw tracepoint and a BTF tracepoint take a cookie", () => {
  using loaded = loadAttach(["on_raw_tracepoint", "on_trace"]);
  loaded.attach("on_raw_tracepoint", { kind: "raw_tracepoint", name: "sys_enter", cookie: 11n });
  loaded.attach("on_trace", { kind: "trace", cookie: 12n });
  provoke(3);
  assert.equal(counter(loaded, "raw_tracepoint_hits"), 3);
  assert.equal(counter(loaded, "raw_tracepoint_cookie"), 11);
  assert.equal(counter(loaded, "trace_hits"), 3);
  assert.equal(counter(loaded, "trace_cookie"), 12);
});

kernelTest("uprobes on a stripped libc see entry and return of this process", () => {
  using loaded = loadAttach(["on_uprobe", "on_uretprobe"]);
  const target = { kind: "uprobe", path: libcPath(), symbol: "getppid", pid: process.pid } as const;
  loaded.attach("on_uprobe", { ...target, cookie: COOKIE });
  loaded.attach("on_uretprobe", target);
  provoke(4);
  assert.equal(counter(loaded, "uprobe_hits"), 4);
  assert.equal(BigInt(counter(loaded, "uprobe_cookie")), BigInt(Number(COOKIE)));
  assert.equal(counter(loaded, "uretprobe_hits"), 4);
  assert.equal(counter(loaded, "uretprobe_value"), process.ppid);
});

kernelTest("a uprobe goes to an offset, and only to the process that was named", async () => {
  await using mine = new TargetProcess();
  await using other = new TargetProcess();
  using loaded = loadAttach(["on_uretprobe"]);
  const { offset } = functionOffset(TARGET_PROGRAM, "target_double");
  loaded.attach("on_uretprobe", { kind: "uprobe", path: TARGET_PROGRAM, offset, pid: mine.pid });
  await mine.work();
  await other.work();
  assert.equal(counter(loaded, "uretprobe_hits"), 1);
  assert.equal(counter(loaded, "uretprobe_value"), 42);
});

kernelTest(
  "uprobe.multi probes functions by name, pattern and offset with a cookie each",
  async () => {
    await using target = new TargetProcess();
    using loaded = loadAttach(["on_multi"]);
    const { offset } = functionOffset(TARGET_PROGRAM, "target_sell");
    const link = loaded.attach("on_multi", {
      kind: "uprobe_multi",
      path: TARGET_PROGRAM,
      pid: target.pid,
      targets: [
        { symbol: "target_double", cookie: 1n },
        { pattern: "target_t*", cookie: 10n },
        { offset, cookie: 100n },
      ],
    });
    await target.work();
    assert.deepEqual(link.rejected, []);
    assert.equal(counter(loaded, "multi_hits"), 3);
    assert.equal(counter(loaded, "multi_cookies"), 111);
  },
);

kernelTest("uprobe.multi leaves out a function that cannot be probed and reports it", async () => {
  if (process.arch !== "x64") {
    return;
  }
  await using target = new TargetProcess();
  using loaded = loadAttach(["on_multi"]);
  const all = {
    kind: "uprobe_multi",
    path: TARGET_PROGRAM,
    pid: target.pid,
    targets: [{ pattern: "target_*" }],
  } as const;
  const link = loaded.attach("on_multi", all);
  assert.deepEqual(
    link.rejected.map((each) => each.symbol),
    ["target_forbidden"],
  );
  await target.work();
  assert.equal(counter(loaded, "multi_hits"), 4);
  assert.throws(() => loaded.attach("on_multi", { ...all, skipUnprobeable: false }), BpfError);
});

kernelTest("a session sees entry and return by one link with one cookie", async () => {
  await using target = new TargetProcess();
  using loaded = loadAttach(["on_session"]);
  loaded.attach("on_session", {
    kind: "uprobe_multi",
    path: TARGET_PROGRAM,
    pid: target.pid,
    targets: [{ symbol: "target_double", cookie: 5n }],
  });
  await target.work();
  assert.equal(counter(loaded, "session_entry_hits"), 1);
  assert.equal(counter(loaded, "session_return_hits"), 1);
  assert.equal(counter(loaded, "session_entry_cookie"), 5);
});

kernelTest("a USDT probe gives its argument and cookie", async () => {
  await using target = new TargetProcess();
  using loaded = loadAttach(["on_usdt"]);
  const probe = { kind: "usdt", path: TARGET_PROGRAM, pid: target.pid, provider: "shop" } as const;
  loaded.attach("on_usdt", { ...probe, name: "sold", cookie: 77n });
  await target.work();
  assert.equal(counter(loaded, "usdt_hits"), 1);
  assert.equal(counter(loaded, "usdt_argument"), 99);
  assert.equal(counter(loaded, "usdt_cookie"), 77);
  assert.throws(
    () => loaded.attach("on_usdt", { ...probe, name: "none" }),
    (error) => error instanceof BpfError && error.code === "ATTACH" && error.errno === "ENOENT",
  );
});

kernelTest("a software perf event samples this process on every CPU", () => {
  using loaded = loadAttach(["on_perf"]);
  using link = loaded.attach("on_perf", {
    kind: "perf_event",
    event: PERF_EVENT.cpuClock,
    frequency: 1000,
  });
  const end = performance.now() + 200;
  while (performance.now() < end) {
    // Burns CPU, which is what is sampled.
  }
  assert.ok(counter(loaded, "perf_hits") > 20, "200 ms at 1,000 a second");
  link.detach();
  assert.throws(
    () => loaded.attach("on_perf", { kind: "perf_event", event: PERF_EVENT.cpuClock }),
    (error) => error instanceof BpfError && error.code === "ARGUMENT",
  );
});

kernelTest("a hardware perf event samples, or says that this machine has no counters", () => {
  using loaded = loadAttach(["on_perf"]);
  try {
    loaded.attach("on_perf", { kind: "perf_event", event: PERF_EVENT.cycles, frequency: 100 });
  } catch (error) {
    assert.ok(error instanceof BpfError);
    assert.match(error.errno ?? "", /^(ENOENT|EOPNOTSUPP)$/);
  }
});

kernelTest("a syscall program runs on a context and gives it back", () => {
  using loaded = loadAttach(["add"]);
  const context = new Uint8Array(16);
  new DataView(context.buffer).setUint32(0, 40, true);
  new DataView(context.buffer).setUint32(4, 2, true);
  const result = loaded.program("add").run({ context });
  assert.equal(result.returnValue, 7);
  const view = new DataView(result.context.buffer, result.context.byteOffset);
  assert.equal(view.getBigUint64(8, true), 42n);
  assert.equal(context[8], 0, "the caller's bytes stay as they were");
});

kernelTest("a network program runs on a packet, many times over", () => {
  using loaded = loadAttach(["on_xdp"]);
  const data = new Uint8Array(64);
  const run = loaded.program("on_xdp").run({ data, repeat: 100, dataOutBytes: 256 });
  assert.equal(run.returnValue, 2, "XDP_PASS");
  assert.equal(run.data.length, 64);
  assert.equal(counter(loaded, "xdp_hits"), 100);
});

kernelTest("iterators print text, list the entries of a map, and walk a cgroup", () => {
  const object = openObject(objectPath("iterators"));
  object.rodata.set({ target_pid: process.pid });
  using loaded = object.load();
  using tasks = loaded.attach("print_tasks", { tid: process.pid });
  assert.match(tasks.readText(), new RegExp(`^${process.pid} \\S+`));
  const numbers = loaded.map("numbers");
  numbers.set(u32(7), new Uint8Array(new BigUint64Array([49n]).buffer));
  const target = { kind: "map_iterator", map: numbers } as const;
  assert.equal(loaded.runIterator("list_entries", target).length, 16);
  assert.deepEqual(loaded.iteratorRecords("list_entries", "struct entry", target), [
    { value: 49n, key: 7, unused: 0 },
  ]);
  const path = "/sys/fs/cgroup/unified";
  if (existsSync(`${path}/cgroup.procs`)) {
    using own = loaded.attach("list_cgroups", { kind: "cgroup_iterator", path, order: "self" });
    assert.equal(own.readText().trim().split("\n").length, 1);
  }
});

kernelTest("another target than the section's can be set before load", () => {
  const object = openObject(objectPath("attach"));
  const program = object.program("on_trace");
  program.setAutoload(true);
  program.setAttachTarget("sys_exit");
  using loaded = object.load();
  loaded.attach("on_trace").detach();
  using wrong = openObject(objectPath("attach"));
  assert.throws(() => wrong.program("on_trace").setAttachTarget("no_such_hook"), BpfError);
});

kernelTest("a pinned link outlives its object and can be taken up and ended", () => {
  ensureBpffs();
  const path = `/sys/fs/bpf/libbpf-ts-link-${process.pid}`;
  const loaded = loadAttach(["on_trace"]);
  try {
    const link = loaded.attach("on_trace", { kind: "trace" });
    link.pin(path);
    const { id } = link.info;
    using bss = loaded.mapGlobal(".bss");
    loaded.close();
    provoke(2);
    assert.equal(bss.get("trace_hits"), 2n, "still attached after close");
    using again = Link.openPinned(path);
    assert.equal(again.info.id, id);
    rmSync(path);
    again.detach();
    provoke(2);
    assert.equal(bss.get("trace_hits"), 2n);
  } finally {
    rmSync(path, { force: true });
    loaded.close();
  }
});

kernelTest("what this kernel lacks is refused by a typed error, and probeAll knows it", () => {
  const attempts = [
    ["kprobe", "on_kprobe", { kind: "kprobe", function: "do_nanosleep" }],
    ["kprobe.multi", "on_kprobe_multi", { kind: "kprobe_multi", functions: ["do_nanosleep"] }],
    ["kprobe", "on_ksyscall", { kind: "ksyscall", syscall: "getppid" }],
    ["fentry", "on_fentry", { kind: "trace" }],
    ["fexit", "on_fexit", { kind: "trace" }],
    ["lsm", "on_lsm", { kind: "trace" }],
  ] as const;
  const { attachKinds } = probeAll();
  for (const [kind, program, target] of attempts) {
    const attach = (): void => {
      using loaded = loadAttach([program]);
      loaded.attach(program, target).detach();
    };
    if (attachKinds[kind]?.isSupported === true) {
      attach();
      continue;
    }
    assert.throws(attach, (error) => {
      assert.ok(error instanceof BpfError, program);
      assert.match(error.code, /^(NOT_SUPPORTED|ATTACH|LOAD|VERIFIER)$/, program);
      assert.ok(error.errno !== undefined, program);
      assert.equal(error instanceof NotSupportedError, error.code === "NOT_SUPPORTED");
      assert.match(error.message, /\. \S/, `${program}: the message advises`);
      return true;
    });
  }
});

kernelTest("a target that does not exist is an error that says so", () => {
  using loaded = loadAttach(["on_uprobe", "on_xdp", "on_connect"]);
  const code = (wanted: string) => (error: unknown) =>
    error instanceof BpfError && error.code === wanted;
  const inLibc = { kind: "uprobe", path: libcPath() } as const;
  assert.throws(
    () => loaded.attach("on_uprobe", { ...inLibc, symbol: "getpidd" }),
    (error) => error instanceof BpfError && /Did you mean "getpid"\?/.test(error.message),
  );
  const missing = { kind: "uprobe", path: "/nonexistent", symbol: "x" } as const;
  assert.throws(() => loaded.attach("on_uprobe", missing), code("OPEN"));
  const wrong = { kind: "xdp", interface: "nosuch0" } as const;
  assert.throws(() => loaded.attach("on_xdp", wrong), code("ARGUMENT"));
  const noCgroup = { kind: "cgroup", path: "/nonexistent" } as const;
  assert.throws(() => loaded.attach("on_connect", noCgroup), code("ARGUMENT"));
});
