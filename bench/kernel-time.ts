// SPDX-License-Identifier: Apache-2.0
// What the programs take of a request, by the kernel's own statistics. They run for every send and
// receive of the machine, so the load generator's calls are counted by the kernel as well: those
// cost what an unselected process's calls cost, which is measured first and taken off.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../test/support/own-metrics.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { type Summary, summarise } from "./support/machine.ts";
import { buildLoad, startNginx, steadyLoad } from "./support/server.ts";

const PORT = 18420;
const STATISTICS = "/proc/sys/kernel/bpf_stats_enabled";
const SEEN = "backstitch_ebpf_l7_records_seen";

export interface KernelTimeResult {
  /** One run of a program for a process that is not selected, statistics included. */
  readonly unwatchedNanosecondsPerRun: Summary;
  /** Nothing is selected: what all runs take of a request. */
  readonly unwatchedMicrosecondsPerRequest: Summary;
  /** The server is selected: its two messages, the other calls taken off. */
  readonly watchedMicrosecondsPerRequest: Summary;
  /** The server is selected: all runs, those for the load generator's calls among them. */
  readonly allMicrosecondsPerRequest: Summary;
  readonly watchedCallsPerRequest: Summary;
  readonly runsPerRequest: Summary;
}

interface Run {
  readonly ns: number;
  readonly runs: number;
  readonly seen: number;
  readonly requests: number;
}

export async function benchKernelTime(
  folder: string,
  options: { readonly rate: number; readonly seconds: number; readonly rounds: number },
): Promise<KernelTimeResult> {
  const program = buildLoad(folder);
  const nginx = await startNginx(folder, PORT, 0);
  const one = async (selectedPort: number): Promise<Run> => {
    const config = agentConfig(`[{ports: [${selectedPort}]}]`, "{nop: {}}");
    const agent = await startAgent(config, { folder });
    try {
      const before = agent.programs();
      const load = await steadyLoad(program, { port: PORT, connections: 64, ...options });
      const after = agent.programs();
      await sleep(1500);
      return {
        ns: after.runTimeNs - before.runTimeNs,
        runs: after.runCount - before.runCount,
        seen: total(await agent.metrics(), SEEN),
        requests: load.completed,
      };
    } finally {
      await agent.stop();
    }
  };
  const unwatched: Run[] = [];
  const watched: Run[] = [];
  writeFileSync(STATISTICS, "1");
  try {
    for (let round = 0; round < options.rounds; round++) {
      unwatched.push(await one(PORT + 1));
      watched.push(await one(PORT));
    }
  } finally {
    writeFileSync(STATISTICS, "0");
    await nginx.stop();
  }
  const nsPerRun = unwatched.map(({ ns, runs }) => ns / runs);
  return {
    unwatchedNanosecondsPerRun: summarise(nsPerRun),
    unwatchedMicrosecondsPerRequest: summarise(unwatched.map(microsecondsPerRequest)),
    watchedMicrosecondsPerRequest: summarise(
      watched.map((run, round) => {
        const others = (run.runs - run.seen) * (nsPerRun[round] ?? Number.NaN);
        return microsecondsPerRequest({ ...run, ns: run.ns - others });
      }),
    ),
    allMicrosecondsPerRequest: summarise(watched.map(microsecondsPerRequest)),
    watchedCallsPerRequest: summarise(watched.map(({ seen, requests }) => seen / requests)),
    runsPerRequest: summarise(watched.map(({ runs, requests }) => runs / requests)),
  };
}

function microsecondsPerRequest(run: Pick<Run, "ns" | "requests">): number {
  return run.ns / 1000 / run.requests;
}
