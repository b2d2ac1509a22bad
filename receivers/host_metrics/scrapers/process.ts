// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ProcessScraperConfig } from "../config.ts";
import { type HostFiles, statField, TICKS_PER_SECOND } from "../host-files.ts";
import { passes } from "../name-filter.ts";
import type { Attributes, Recorder } from "../recorder.ts";
import type { ScrapeInputs, Scraper } from "./scraper.ts";

/** Processes read in one turn of the event loop. */
const SLICE = 32;
const NS_PER_S = 1_000_000_000n;

/** Fields of /proc/PID/stat (proc(5)). */
const STAT = {
  parent: 4,
  minorFaults: 10,
  majorFaults: 12,
  userTicks: 14,
  systemTicks: 15,
  threads: 20,
  startTicks: 22,
  virtualBytes: 23,
  waitTicks: 42,
} as const;

type Muted = "name" | "exe" | "io" | "user" | "cgroup";

interface CpuSample {
  readonly startTicks: number;
  readonly atMs: number;
  readonly seconds: Readonly<Record<"user" | "system" | "wait", number>>;
}

/** Keeps the CPU times of the last scrape for the utilisation. */
export function createProcessScraper(): Scraper {
  let before = new Map<number, CpuSample>();
  return async (inputs) => {
    const now = new Map<number, CpuSample>();
    const context = createContext(inputs, before, now);
    for (const [at, pid] of inputs.host.pids().entries()) {
      if (at % SLICE === SLICE - 1) await nextTurn();
      scrapeOne(context, pid);
    }
    before = now;
  };
}

interface Context {
  readonly inputs: ScrapeInputs;
  readonly options: ProcessScraperConfig;
  readonly users: ReadonlyMap<string, string>;
  readonly bootSeconds: number;
  readonly memoryBytes: number;
  readonly before: ReadonlyMap<number, CpuSample>;
  readonly now: Map<number, CpuSample>;
}

function createContext(
  inputs: ScrapeInputs,
  before: ReadonlyMap<number, CpuSample>,
  now: Map<number, CpuSample>,
): Context {
  const { host, config } = inputs;
  const options = config.scrapers.process;
  if (options === undefined) throw new Error("the scraper is not configured");
  const passwd = host.tryRead("/etc/passwd") ?? "";
  const users = passwd.split("\n").map((line) => line.split(":"));
  return {
    inputs,
    options,
    users: new Map(users.map(([name = "", , uid = ""]) => [uid, name])),
    bootSeconds: host.bootSeconds(),
    memoryBytes: (host.numbers("/proc/meminfo").get("MemTotal") ?? Number.NaN) * 1024,
    before,
    now,
  };
}

function scrapeOne(context: Context, pid: number): void {
  const { inputs, options } = context;
  const { host, nowMs } = inputs;
  const stat = host.tryRead(`/proc/${pid}/stat`);
  const status = host.tryRead(`/proc/${pid}/status`);
  if (stat === undefined || status === undefined) return;
  const name = /^Name:\t(.*)$/m.exec(status)?.[1] ?? "";
  if (!passes(name, options.include, options.exclude)) return;
  const field = (number: number): number => Number(statField(stat, number));
  const startTicks = field(STAT.startTicks);
  const startMs = context.bootSeconds * 1000 + (startTicks * 1000) / TICKS_PER_SECOND;
  if (nowMs - startMs < options.scrape_process_delay) return;
  const attributes = resourceOf(context, { pid, name, stat, status });
  if (attributes === undefined) return;
  const startNs = (BigInt(Math.round(startMs)) * NS_PER_S) / 1000n;
  const record = inputs.resource(attributes, startNs);
  addCpu(context, pid, record, { startTicks, field });
  addMemory(context, status, record, field);
  record.add("process.threads", field(STAT.threads));
  record.add("process.paging.faults", field(STAT.majorFaults), { type: "major" });
  record.add("process.paging.faults", field(STAT.minorFaults), { type: "minor" });
  record.add("process.uptime", Math.max(0, nowMs - startMs) / 1000);
  addSwitches(status, record);
  addFiles(context, pid, record);
}

interface ProcessTexts {
  readonly pid: number;
  readonly name: string;
  readonly stat: string;
  readonly status: string;
}

/** Undefined when what identifies the process cannot be read. */
function resourceOf(context: Context, texts: ProcessTexts): Attributes | undefined {
  const { inputs, options, users } = context;
  const { pid, name, stat, status } = texts;
  const { host } = inputs;
  const words = (host.tryRead(`/proc/${pid}/cmdline`) ?? "")
    .split("\0")
    .filter((word) => word !== "");
  const path = attempt(context, "exe", `executable of process ${pid}`, () =>
    host.link(`/proc/${pid}/exe`),
  );
  const uid = /^Uid:\t(\d+)/m.exec(status)?.[1] ?? "";
  const owner = users.get(uid);
  if (owner === undefined) {
    failed(context, "user", `owner of process ${pid}`, new Error(`there is no user ${uid}`));
  }
  const cgroup = options.resource_attributes["process.cgroup"]
    ? attempt(context, "cgroup", `cgroup of process ${pid}`, () =>
        host.read(`/proc/${pid}/cgroup`).trim(),
      )
    : undefined;
  const all: Record<string, string | number | undefined> = {
    "process.pid": pid,
    "process.parent_pid": Number(statField(stat, STAT.parent)),
    "process.executable.name": name,
    "process.executable.path": path,
    "process.command": words[0],
    "process.command_line": words.length === 0 ? undefined : words.join(" "),
    "process.owner": owner,
    "process.cgroup": cgroup,
  };
  const found: Record<string, string | number> = {};
  for (const [key, value] of Object.entries(all)) {
    if (value !== undefined && options.resource_attributes[key] !== false) found[key] = value;
  }
  return found;
}

function addCpu(
  { inputs, before, now }: Context,
  pid: number,
  record: Recorder,
  facts: { readonly startTicks: number; readonly field: (number: number) => number },
): void {
  const { startTicks, field } = facts;
  const seconds = {
    user: field(STAT.userTicks) / TICKS_PER_SECOND,
    system: field(STAT.systemTicks) / TICKS_PER_SECOND,
    wait: field(STAT.waitTicks) / TICKS_PER_SECOND,
  };
  const sample: CpuSample = { startTicks, atMs: inputs.nowMs, seconds };
  now.set(pid, sample);
  const last = before.get(pid);
  for (const state of ["user", "system", "wait"] as const) {
    record.add("process.cpu.time", seconds[state], { state });
    // The pid may be another process's by now.
    if (last === undefined || last.startTicks !== startTicks) continue;
    const elapsed = (sample.atMs - last.atMs) / 1000;
    const share = (seconds[state] - last.seconds[state]) / elapsed;
    record.add("process.cpu.utilization", share, { state });
  }
}

function addMemory(
  { memoryBytes }: Context,
  status: string,
  record: Recorder,
  field: (number: number) => number,
): void {
  const resident = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  record.add("process.memory.usage", resident);
  record.add("process.memory.virtual", field(STAT.virtualBytes));
  record.add("process.memory.utilization", (resident / memoryBytes) * 100);
}

function addSwitches(status: string, record: Recorder): void {
  const number = (pattern: RegExp): number => Number(pattern.exec(status)?.[1] ?? Number.NaN);
  const switches = {
    voluntary: number(/^voluntary_ctxt_switches:\s+(\d+)/m),
    involuntary: number(/^nonvoluntary_ctxt_switches:\s+(\d+)/m),
  };
  for (const [type, count] of Object.entries(switches)) {
    record.add("process.context_switches", count, { type });
  }
  const pending = /^SigQ:\s+(\d+)/m.exec(status)?.[1];
  record.add("process.signals_pending", pending === undefined ? undefined : Number(pending));
}

function addFiles(context: Context, pid: number, record: Recorder): void {
  const { host } = context.inputs;
  if (record.wants("process.disk.io") || record.wants("process.disk.operations")) {
    const io = attempt(context, "io", `disk I/O of process ${pid}`, () =>
      host.numbers(`/proc/${pid}/io`),
    );
    for (const [direction, bytes, operations] of [
      ["read", "read_bytes", "syscr"],
      ["write", "write_bytes", "syscw"],
    ] as const) {
      record.add("process.disk.io", io?.get(bytes), { direction });
      record.add("process.disk.operations", io?.get(operations), { direction });
    }
  }
  if (!record.wants("process.open_file_descriptors")) return;
  const count = attempt(context, "io", `files of process ${pid}`, () => openFiles(host, pid));
  record.add("process.open_file_descriptors", count);
}

function openFiles(host: HostFiles, pid: number): number {
  return host.list(`/proc/${pid}/fd`).length;
}

function attempt<T>(context: Context, kind: Muted, what: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    failed(context, kind, what, error);
    return undefined;
  }
}

/** Kernel threads have no executable, and processes end while they are read: neither is said. */
function failed({ inputs, options }: Context, kind: Muted, what: string, error: unknown): void {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ESRCH") return;
  if (options.mute_process_all_errors || options[`mute_process_${kind}_error`]) return;
  inputs.failed(what, error);
}
