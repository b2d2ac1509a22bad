// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { scrapeMetrics } from "../../test/support/own-metrics.ts";

const ROOT: string = join(import.meta.dirname, "../..");
const READY = "Everything is ready";
const METRICS_PORT = 18888;

export interface Agent {
  readonly pid: number;
  /** Own metrics by name and labels, as scraped. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** BPF programs of the agent: nanoseconds run and calls, when kernel statistics are on. */
  programs(): { readonly runTimeNs: number; readonly runCount: number };
  stop(): Promise<void>;
}

/** The pipeline that all benches run: capture, stitch, batch, and an exporter given as YAML. */
export function agentConfig(targets: string, exporter: string): string {
  return `
extensions: {discovery: {targets: ${targets}}}
receivers: {ebpf_l7: {}}
processors: {span_stitch: {}, batch: {}}
exporters: ${exporter}
service:
  extensions: [discovery]
  telemetry:
    metrics:
      readers: [{pull: {exporter: {prometheus: {host: localhost, port: ${METRICS_PORT}}}}}]
  pipelines:
    traces: {receivers: [ebpf_l7], processors: [span_stitch, batch], exporters: [${exporterId(exporter)}]}
`;
}

function exporterId(exporter: string): string {
  return /\{\s*([a-z_0-9/]+)/.exec(exporter)?.[1] ?? "nop";
}

/** Starts bin/backstitch, pinned to `core` when given, and waits until it is ready. */
export async function startAgent(
  config: string,
  options: { readonly folder: string; readonly core?: number; readonly nice?: number },
): Promise<Agent> {
  const file = join(options.folder, "agent.yaml");
  writeFileSync(file, config);
  const command = [join(ROOT, "bin/backstitch"), "--config", file];
  if (options.core !== undefined) command.unshift("taskset", "-c", String(options.core));
  const [program = "", ...words] = command;
  const child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"] });
  await untilReady(child);
  const { pid } = child;
  if (pid === undefined) throw new Error("the agent did not start");
  // Only when it is ready: a start at the lowest priority may never end.
  if (options.nice !== undefined) setThreadsPriority(pid, options.nice);
  return {
    pid,
    metrics: async () => await scrapeMetrics(METRICS_PORT),
    programs: () => programStatistics(pid),
    stop: async () => {
      if (child.exitCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Of all threads: on Linux a priority belongs to a thread. */
function setThreadsPriority(pid: number, nice: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), nice);
}

async function untilReady(child: ChildProcess): Promise<void> {
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (part: string) => {
    if (text.length < 1 << 16) text += part;
  });
  for (let turn = 0; turn < 200; turn++) {
    if (text.includes(READY)) return;
    if (child.exitCode !== null) break;
    await sleep(50);
  }
  child.kill("SIGKILL");
  throw new Error(`the agent did not get ready:\n${text}`);
}

function programStatistics(pid: number): { runTimeNs: number; runCount: number } {
  const seen = new Set<string>();
  let runTimeNs = 0;
  let runCount = 0;
  for (const name of readdirSync(`/proc/${pid}/fdinfo`)) {
    const text = readFileSync(`/proc/${pid}/fdinfo/${name}`, "utf8");
    const id = /^prog_id:\s+(\d+)/m.exec(text)?.[1];
    const time = /^run_time_ns:\s+(\d+)/m.exec(text)?.[1];
    if (id === undefined || time === undefined || seen.has(id)) continue;
    seen.add(id);
    runTimeNs += Number(time);
    runCount += Number(/^run_cnt:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  }
  return { runTimeNs, runCount };
}
