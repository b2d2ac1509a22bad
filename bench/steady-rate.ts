// SPDX-License-Identifier: Apache-2.0
// A fixed rate of requests: does each become a span, what does it cost in the agent, and does
// memory stay flat? In the first seconds the JavaScript engine compiles what runs often; that is
// paid once a start and shown apart.
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../test/support/own-metrics.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { cpuSeconds, residentMib } from "./support/machine.ts";
import { buildLoad, type LoadResult, startNginx, steadyLoad } from "./support/server.ts";

const PORT = 18410;

export interface SteadyResult {
  readonly load: LoadResult;
  readonly spans: number;
  readonly spansPerRequest: number;
  /** After the warm-up. */
  readonly agentCpuMicrosecondsPerSpan: number;
  /** From the start of the warm-up on: compiling included. */
  readonly withWarmUpCpuMicrosecondsPerSpan: number;
  /** Resident memory of the agent, MiB, once every ten seconds. */
  readonly residentMib: readonly number[];
  readonly dropped: Readonly<Record<string, number>>;
}

export async function benchSteadyRate(
  folder: string,
  options: { readonly rate: number; readonly warmUpSeconds: number; readonly seconds: number },
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
  const requests = { port: PORT, connections: 64, rate: options.rate };
  const spansSoFar = async (): Promise<number> => {
    await sleep(1000);
    return total(await agent.metrics(), "otelcol_receiver_accepted_spans");
  };
  try {
    const cpuAtStart = cpuSeconds(agent.pid);
    await steadyLoad(program, { ...requests, seconds: options.warmUpSeconds });
    const spansBefore = await spansSoFar();
    const cpuBefore = cpuSeconds(agent.pid);
    const load = await steadyLoad(program, { ...requests, seconds: options.seconds });
    const spansAtEnd = await spansSoFar();
    const cpuAtEnd = cpuSeconds(agent.pid);
    memory.push(Math.round(residentMib(agent.pid)));
    const metrics = await agent.metrics();
    const spans = spansAtEnd - spansBefore;
    return {
      load,
      spans,
      spansPerRequest: spans / load.completed,
      agentCpuMicrosecondsPerSpan: ((cpuAtEnd - cpuBefore) * 1e6) / spans,
      withWarmUpCpuMicrosecondsPerSpan: ((cpuAtEnd - cpuAtStart) * 1e6) / spansAtEnd,
      residentMib: memory,
      dropped: Object.fromEntries(
        [...metrics].filter(([name, value]) => /dropped|unpaired|shed/.test(name) && value > 0),
      ),
    };
  } finally {
    clearInterval(timer);
    await agent.stop();
    await nginx.stop();
  }
}
