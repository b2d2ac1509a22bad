// SPDX-License-Identifier: Apache-2.0
// For tests: a /proc of files, and a kernel whose marks are a map.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KernelSelection, ProcessEvent, ProcessEvents, SeedResult } from "./kernel-side.ts";

export interface FakeProcess {
  readonly pid: number;
  readonly exe?: string;
  readonly args?: readonly string[];
  readonly parent?: number;
  readonly startTicks?: number;
  readonly name?: string;
  readonly cgroup?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

const DEFAULT_START_TICKS = 1000;

export class FakeProc {
  readonly path: string = mkdtempSync(join(tmpdir(), "proc-"));

  add(process: FakeProcess): void {
    const { pid, exe = "/bin/x", args = ["x"], parent = 1, name = "x" } = process;
    const folder = join(this.path, String(pid));
    this.remove(pid);
    mkdirSync(folder);
    const start = process.startTicks ?? DEFAULT_START_TICKS;
    const middle = Array.from({ length: 17 }, () => "0").join(" ");
    writeFileSync(join(folder, "stat"), `${pid} (${name}) S ${parent} ${middle} ${start} 0 0\n`);
    writeFileSync(join(folder, "cmdline"), args.map((arg) => `${arg}\0`).join(""));
    writeFileSync(join(folder, "cgroup"), `0::${process.cgroup ?? "/"}\n`);
    const environment = Object.entries(process.environment ?? {});
    writeFileSync(join(folder, "environ"), environment.map(([k, v]) => `${k}=${v}\0`).join(""));
    if (exe !== "") symlinkSync(exe, join(folder, "exe"));
  }

  remove(pid: number): void {
    rmSync(join(this.path, String(pid)), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function event(fields: Partial<ProcessEvent> & { readonly pid: number }): ProcessEvent {
  return {
    parent: 1,
    startTicks: DEFAULT_START_TICKS,
    target: 0,
    isPending: false,
    name: "",
    ...fields,
  };
}

interface Running {
  readonly parent: number;
  readonly startTicks: number;
}

/** One thread a process. `onSeed` runs before a pass, to let something happen meanwhile. */
export class FakeKernel implements KernelSelection {
  readonly marks: Map<number, number> = new Map();
  /** Child to parent and start time: what the iterator would meet. */
  readonly running: Map<number, Running> = new Map();
  listening: readonly (readonly [pid: number, port: number])[] = [];
  onSeed: (pass: number) => void = () => {};
  passCount = 0;

  run(pid: number, parent: number = 1, startTicks: number = DEFAULT_START_TICKS): void {
    this.running.set(pid, { parent, startTicks });
  }

  drain(_events: ProcessEvents): void {}

  seed(wanted: ReadonlyMap<number, number>, isRescan: boolean): SeedResult {
    this.onSeed(++this.passCount);
    const changed: ProcessEvent[] = [];
    const others: ProcessEvent[] = [];
    for (const [pid, { parent, startTicks }] of this.running) {
      const target = wanted.get(pid);
      const marked = this.marks.get(pid) ?? 0;
      if (target !== undefined) {
        if (target === marked) continue;
        this.marks.set(pid, target);
        changed.push(event({ pid, parent, startTicks, target }));
      } else if (marked === 0 ? (this.marks.get(parent) ?? 0) !== 0 : isRescan) {
        const own = marked === 0 ? (this.marks.get(parent) ?? 0) : marked;
        others.push(event({ pid, parent, startTicks, target: own }));
      }
    }
    return { changed, others };
  }

  listeners(report: (pid: number, port: number) => void): void {
    for (const [pid, port] of this.listening) report(pid, port);
  }

  lostCount(): number {
    return 0;
  }
}
