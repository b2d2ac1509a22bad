// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SelectionChange } from "../../src/model/process.ts";
import { configSchema } from "./config.ts";
import { event, FakeKernel, FakeProc } from "./fake-host.ts";
import { Matcher } from "./matcher.ts";
import { ProcFs } from "./process-facts.ts";
import { Tracker } from "./tracker.ts";

const SELF = 99;
const PLAIN = { inherited: 0, isRefresh: false } as const;

interface Bed extends Disposable {
  readonly proc: FakeProc;
  readonly kernel: FakeKernel;
  readonly tracker: Tracker;
  readonly changes: readonly SelectionChange[];
  readonly clock: { nowMs: number };
  /** Processes what was heard, as one tick of the extension. */
  tick(): void;
  rescan(): void;
  names(): Record<number, string>;
}

function createBed(config: unknown): Bed {
  const proc = new FakeProc();
  const kernel = new FakeKernel();
  const changes: SelectionChange[] = [];
  const clock = { nowMs: 0 };
  const { targets, exclude } = configSchema.parse(config);
  const procFs = new ProcFs(proc.path, { nameOf: () => undefined });
  const tracker = new Tracker({
    matcher: new Matcher(targets, exclude),
    procFs,
    kernel,
    selfPid: SELF,
    hostName: "here",
    nowMs: () => clock.nowMs,
    onChange: (change) => changes.push(change),
  });
  return {
    proc,
    kernel,
    tracker,
    changes,
    clock,
    tick: () => {
      tracker.judgeDirty(clock.nowMs + 1);
      if (tracker.hasDecisions) tracker.applyToKernel(false);
    },
    rescan: () => {
      const pids = procFs.pids();
      tracker.beginRescan(new Set(pids));
      tracker.refreshListeners();
      for (const pid of pids) tracker.judge(pid, PLAIN);
      tracker.applyToKernel(true);
    },
    names: () =>
      Object.fromEntries(Array.from(tracker.selected(), (one) => [one.pid, one.serviceName])),
    [Symbol.dispose]: () => proc[Symbol.dispose](),
  };
}

test("children that ran before are taken up, however deep, and the agent is not", () => {
  using bed = createBed({ targets: [{ pids: [10], name: "shop" }] });
  for (const [pid, parent] of [
    [10, 1],
    [11, 10],
    [12, 11],
    [20, 1],
    [SELF, 10],
  ] as const) {
    bed.proc.add({ pid, parent });
    if (pid !== SELF) bed.kernel.run(pid, parent);
  }
  bed.rescan();
  assert.deepEqual(bed.names(), { 10: "shop", 11: "shop", 12: "shop" });
  assert.deepEqual([...bed.kernel.marks.keys()].sort(), [10, 11, 12]);
});

test("a process that forks while it is being marked loses no child", () => {
  using bed = createBed({ targets: [{ pids: [10] }] });
  bed.proc.add({ pid: 10 });
  bed.kernel.run(10);
  bed.kernel.onSeed = (pass) => {
    if (pass > 3) return;
    bed.proc.add({ pid: 10 + pass, parent: 9 + pass });
    bed.kernel.run(10 + pass, 9 + pass);
  };
  bed.rescan();
  assert.deepEqual([...bed.kernel.marks.keys()], [10, 11, 12, 13]);
});

test("a forked child is known without reading anything", () => {
  using bed = createBed({ targets: [{ exe: "shop" }] });
  bed.proc.add({ pid: 10, exe: "/srv/shop", environment: { OTEL_SERVICE_NAME: "mine" } });
  bed.kernel.run(10);
  bed.rescan();
  bed.tracker.forked(event({ pid: 11, parent: 10, target: 1 }));
  assert.deepEqual(bed.names(), { 10: "mine", 11: "mine" });
  assert.equal(bed.tracker.process(11)?.attributes.get("process.pid"), 11);
});

test("a child that becomes another program gets its own name, under a target's name none", () => {
  for (const [name, expected] of [
    [undefined, "curl"],
    ["shop", "shop"],
  ] as const) {
    using bed = createBed({ targets: [{ pids: [10], name }] });
    bed.proc.add({ pid: 10, exe: "/srv/shop" });
    bed.kernel.run(10);
    bed.rescan();
    bed.tracker.forked(event({ pid: 11, parent: 10, target: 1 }));
    bed.proc.add({ pid: 11, parent: 10, exe: "/usr/bin/curl" });
    bed.tracker.execed(event({ pid: 11, target: 1, name: "curl" }));
    bed.tick();
    assert.equal(bed.names()[11], expected);
  }
});

test("a program that ended before it was looked at has the kernel's name for it", () => {
  using bed = createBed({ targets: [{ pids: [10] }] });
  bed.proc.add({ pid: 10 });
  bed.kernel.run(10);
  bed.rescan();
  bed.tracker.forked(event({ pid: 11, parent: 10, target: 1 }));
  bed.tracker.execed(event({ pid: 11, target: 1, name: "curl" }));
  bed.tracker.exited(event({ pid: 11, target: 1 }));
  bed.tick();
  assert.equal(bed.tracker.process(11)?.serviceName, "curl");
  assert.deepEqual(bed.names(), { 10: "x" });
});

test("the end of an earlier process with the same id does not end the later one", () => {
  using bed = createBed({ targets: [{ pids: [10] }] });
  bed.proc.add({ pid: 10, startTicks: 5000 });
  bed.kernel.run(10, 1, 5000);
  bed.rescan();
  bed.tracker.exited(event({ pid: 10, startTicks: 1000, target: 1 }));
  assert.deepEqual(bed.names(), { 10: "x" });
  bed.tracker.exited(event({ pid: 10, startTicks: 5000, target: 1 }));
  assert.deepEqual(bed.names(), {});
});

test("an id that is given to another process is not mistaken for the first", () => {
  using bed = createBed({ targets: [{ exe: "shop" }] });
  bed.proc.add({ pid: 10, exe: "/srv/shop" });
  bed.kernel.run(10);
  bed.rescan();
  bed.proc.add({ pid: 10, exe: "/bin/other", startTicks: 9000 });
  bed.tracker.execed(event({ pid: 10, startTicks: 9000, name: "other" }));
  bed.tick();
  assert.deepEqual(bed.names(), {});
});

test("a mark that met another process than was decided about is taken back", () => {
  using bed = createBed({ targets: [{ exe: "shop" }] });
  bed.proc.add({ pid: 10, exe: "/srv/shop" });
  bed.kernel.run(10, 1, 7000);
  bed.rescan();
  assert.equal(bed.kernel.marks.get(10), 0);
});

test("an excluded process is taken out, and passes nothing on", () => {
  using bed = createBed({ targets: [{ pids: [10] }], exclude: [{ exe: "envoy" }] });
  bed.proc.add({ pid: 10 });
  bed.proc.add({ pid: 11, parent: 10, exe: "/bin/envoy" });
  bed.proc.add({ pid: 12, parent: 11 });
  bed.kernel.run(10);
  bed.kernel.run(11, 10);
  bed.kernel.run(12, 11);
  bed.rescan();
  assert.deepEqual(bed.names(), { 10: "x" });
  bed.proc.add({ pid: 10, exe: "/bin/envoy" });
  bed.tracker.execed(event({ pid: 10, target: 1, isPending: true, name: "envoy" }));
  bed.tick();
  assert.deepEqual(bed.names(), {});
  assert.equal(bed.kernel.marks.get(10), 0);
});

test("a child of a parent that is not yet confirmed is looked at itself", () => {
  using bed = createBed({ targets: [{ pids: [10] }], exclude: [{ exe: "envoy" }] });
  bed.proc.add({ pid: 10 });
  bed.kernel.run(10);
  bed.rescan();
  bed.proc.add({ pid: 11, parent: 10, exe: "/bin/envoy" });
  bed.kernel.run(11, 10);
  bed.kernel.marks.set(11, 1);
  bed.tracker.forked(event({ pid: 11, parent: 10, target: 1, isPending: true }));
  bed.tick();
  assert.deepEqual(bed.names(), { 10: "x" });
  assert.equal(bed.kernel.marks.get(11), 0);
});

test("a process is selected when it starts to listen, and by what it listened on before", () => {
  using bed = createBed({ targets: [{ ports: "8000-8001" }] });
  bed.proc.add({ pid: 10 });
  bed.proc.add({ pid: 11 });
  bed.kernel.run(10);
  bed.kernel.run(11);
  bed.kernel.listening = [
    [10, 8000],
    [11, 22],
  ];
  bed.rescan();
  assert.deepEqual(bed.names(), { 10: "x" });
  bed.tracker.listening(11, 9000);
  bed.tick();
  assert.deepEqual(bed.names(), { 10: "x" });
  bed.tracker.listening(11, 8001);
  bed.tick();
  assert.deepEqual(bed.names(), { 10: "x", 11: "x" });
});

test("ports of an earlier process with the same id do not count", () => {
  using bed = createBed({ targets: [{ ports: 8000, exe: "shop" }] });
  bed.proc.add({ pid: 10, exe: "/bin/other" });
  bed.tracker.listening(10, 8000);
  bed.tick();
  bed.proc.add({ pid: 10, exe: "/srv/shop", startTicks: 9000 });
  bed.tracker.execed(event({ pid: 10, startTicks: 9000 }));
  bed.tick();
  assert.deepEqual(bed.names(), {});
});

test("a direct match comes before an inherited target", () => {
  using bed = createBed({
    targets: [
      { pids: [10], name: "all" },
      { exe: "cart", name: "cart" },
    ],
  });
  bed.proc.add({ pid: 10 });
  bed.kernel.run(10);
  bed.rescan();
  bed.tracker.forked(event({ pid: 11, parent: 10, target: 1 }));
  bed.proc.add({ pid: 11, parent: 10, exe: "/srv/cart" });
  bed.kernel.run(11, 10);
  bed.kernel.marks.set(11, 1);
  bed.tracker.execed(event({ pid: 11, target: 1, name: "cart" }));
  bed.tick();
  assert.deepEqual(bed.names(), { 10: "all", 11: "cart" });
  assert.equal(bed.kernel.marks.get(11), 2);
});

test("kernel threads and processes that ended unwaited are never selected", () => {
  using bed = createBed({ targets: [{ pids: [10] }, { exe: "*" }] });
  bed.proc.add({ pid: 10, exe: "", args: [] });
  bed.kernel.run(10);
  bed.rescan();
  assert.deepEqual(bed.names(), {});
});

test("a process that vanishes at any moment is no error", () => {
  using bed = createBed({ targets: [{ exe: "shop" }] });
  for (const heard of [
    () => bed.tracker.execed(event({ pid: 50, name: "shop" })),
    () => bed.tracker.forked(event({ pid: 51, parent: 50, target: 1 })),
    () => bed.tracker.exited(event({ pid: 52 })),
    () => bed.tracker.listening(53, 80),
  ]) {
    heard();
    bed.tick();
  }
  bed.rescan();
  assert.deepEqual(bed.changes, []);
});

test("ended processes are answered for a minute, and 4,096 of them at most", () => {
  using bed = createBed({ targets: [{ pids: [10] }] });
  bed.proc.add({ pid: 10 });
  bed.kernel.run(10);
  bed.rescan();
  for (let pid = 100; pid < 5100; pid++) {
    bed.tracker.forked(event({ pid, parent: 10, target: 1 }));
    bed.tracker.exited(event({ pid, target: 1 }));
  }
  const known = (): number =>
    Array.from({ length: 5000 }, (_, at) => bed.tracker.process(100 + at)).filter(
      (one) => one !== undefined,
    ).length;
  assert.equal(known(), 4096);
  bed.clock.nowMs = 59_000;
  bed.tracker.prune();
  assert.equal(known(), 4096);
  bed.clock.nowMs = 61_000;
  bed.tracker.prune();
  assert.equal(known(), 0);
  assert.equal(bed.tracker.selectedCount, 1);
});

test("more changes than can be kept ask for a rescan", () => {
  using bed = createBed({ targets: [{ exe: "shop" }] });
  for (let pid = 1000; pid < 1000 + 16_385; pid++) bed.tracker.execed(event({ pid }));
  assert.equal(bed.tracker.takeRescanDue(), true);
  assert.equal(bed.tracker.takeRescanDue(), false);
});

test("a rescan drops what ended unseen and takes up what only the kernel knew", () => {
  using bed = createBed({ targets: [{ pids: [10] }] });
  bed.proc.add({ pid: 10 });
  bed.kernel.run(10);
  bed.rescan();
  bed.tracker.forked(event({ pid: 11, parent: 10, target: 1 }));
  bed.proc.add({ pid: 12, parent: 1 });
  bed.kernel.run(12, 1);
  bed.kernel.marks.set(12, 1);
  bed.rescan();
  assert.deepEqual(bed.names(), { 10: "x", 12: "x" });
});
