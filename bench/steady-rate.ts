// SPDX-License-Identifier: Apache-2.0
// A fixed rate of requests: does each become a span, what does it cost in the kernel and in the
// agent, and does memory stay flat?
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../test/support/own-metrics.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { cpuSeconds, residentMib } from "./support/machine.ts";
import { buildLoad, type LoadResult, startNginx, steadyLoad } from "./support/server.ts";

const PORT = 18410;
const STATISTICS = "/proc/sys/kernel/bpf_stats_enabled";

export interface SteadyResult {
  readonly load: LoadResult;
  readonly spans: number;
  readonly spansPerRequest: number;
  readonly agentCpuMicrosecondsPerSpan: number;
  readonly kernelMicrosecondsPerRequest: number;
  /** Resident memory of the agent, MiB, once every ten seconds. */
  readonly residentMib: readonly number[];
  readonly dropped: Readonly<Record<string, number>>;
}

export async function benchSteadyRate(
  folder: string,
  options: { readonly rate: number; readonly seconds: number; readonly statistics: boolean },
): Promise<SteadyResult> {
  const program = buildLoad(folder);
  const nginx = await startNginx(folder, PORT, 0);
  const agent = await startAgent(agentConfig(`[{ports: [${PORT}]}]`, "{nop: {}}"), {
    folder,
  }).catch(async (error: unknown) => {
    await nginx.stop();
    throw error;
  });
  const memory: number[] = [];
  const timer = setInterval(() => memory.push(Math.round(residentMib(agent.pid))), 10_000);
  if (options.statistics) writeFileSync(STATISTICS, "1");
  try {
    const cpuBefore = cpuSeconds(agent.pid);
    const kernelBefore = agent.programs();
    const load = await steadyLoad(program, { port: PORT, connections: 64, ...options });
    const kernelAfter = agent.programs();
    await sleep(2000);
    const cpu = cpuSeconds(agent.pid) - cpuBefore;
    memory.push(Math.round(residentMib(agent.pid)));
    const metrics = await agent.metrics();
    const spans = total(metrics, "otelcol_receiver_accepted_spans");
    return {
      load,
      spans,
      spansPerRequest: spans / load.completed,
      agentCpuMicrosecondsPerSpan: (cpu * 1e6) / spans,
      kernelMicrosecondsPerRequest:
        (kernelAfter.runTimeNs - kernelBefore.runTimeNs) / 1000 / load.completed,
      residentMib: memory,
      dropped: Object.fromEntries(
        [...metrics].filter(([name, value]) => /dropped|unpaired|shed/.test(name) && value > 0),
      ),
    };
  } finally {
    clearInterval(timer);
    if (options.statistics) writeFileSync(STATISTICS, "0");
    await agent.stop();
    await nginx.stop();
  }
}
