// SPDX-License-Identifier: Apache-2.0
import { TICKS_PER_SECOND } from "../host-files.ts";
import type { ScrapeInputs, Scraper } from "./scraper.ts";

/** Columns of a `cpuN` line (proc(5), /proc/stat). */
const STATES = ["user", "nice", "system", "idle", "wait", "interrupt", "softirq", "steal"] as const;

interface CpuTimes {
  readonly cpu: string;
  /** Seconds by state. */
  readonly seconds: ReadonlyMap<string, number>;
}

/** Keeps the times of the last scrape for the utilisation. */
export function createCpuScraper(): Scraper {
  let before: ReadonlyMap<string, CpuTimes> = new Map();
  return (inputs) => {
    const times = readTimes(inputs);
    for (const { cpu, seconds } of times) {
      for (const [state, value] of seconds)
        inputs.record.add("system.cpu.time", value, { cpu, state });
      addUtilization(inputs, before.get(cpu), { cpu, seconds });
    }
    before = new Map(times.map((one) => [one.cpu, one]));
    addProcessors(inputs, times.length);
  };
}

function readTimes({ host }: ScrapeInputs): readonly CpuTimes[] {
  return host
    .lines("/proc/stat")
    .map((line) => /^(cpu\d+) (.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, cpu = "", rest = ""]) => {
      const ticks = rest.split(" ").map(Number);
      const seconds = STATES.map(
        (state, at) => [state, (ticks[at] ?? 0) / TICKS_PER_SECOND] as const,
      );
      return { cpu, seconds: new Map(seconds) };
    });
}

function addUtilization(
  { record }: ScrapeInputs,
  before: CpuTimes | undefined,
  now: CpuTimes,
): void {
  if (before === undefined) return;
  const since = (state: string): number =>
    (now.seconds.get(state) ?? 0) - (before.seconds.get(state) ?? 0);
  const total = STATES.reduce((sum, state) => sum + since(state), 0);
  if (total <= 0) return;
  for (const state of STATES) {
    const share = Math.min(1, Math.max(0, since(state) / total));
    record.add("system.cpu.utilization", share, { cpu: now.cpu, state });
  }
}

function addProcessors({ host, record }: ScrapeInputs, logical: number): void {
  record.add("system.cpu.logical.count", logical);
  if (!record.wants("system.cpu.physical.count") && !record.wants("system.cpu.frequency")) return;
  const cores = new Set<string>();
  for (const block of host.read("/proc/cpuinfo").split("\n\n")) {
    const value = (key: string): string | undefined =>
      new RegExp(`^${key}\\s*:\\s*(.*)$`, "m").exec(block)?.[1];
    const core = value("core id");
    if (core !== undefined) cores.add(`${value("physical id") ?? 0}/${core}`);
    const mhz = value("cpu MHz");
    if (mhz !== undefined) {
      record.add("system.cpu.frequency", Number(mhz) * 1e6, { cpu: `cpu${value("processor")}` });
    }
  }
  record.add("system.cpu.physical.count", cores.size === 0 ? logical : cores.size);
}
