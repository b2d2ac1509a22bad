// SPDX-License-Identifier: Apache-2.0
// Past what the agent can take: nginx at saturation, watched by an agent that gets next to no CPU
// (lowest priority, on the core that the load generator fills). It has to shed; is nginx slowed
// further than by an agent at normal priority?
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../test/support/own-metrics.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { type Summary, summarise } from "./support/machine.ts";
import { saturate, startNginx } from "./support/server.ts";

const PORT = 18430;
const NGINX_CORE = 0;
const LOAD_CORE = 1;
const LOWEST_PRIORITY = 19;

export interface OverloadResult {
  readonly requestsPerSecond: Record<string, Summary>;
  /** Of the rate without an agent, in the same round. */
  readonly normalPriorityRatio: Summary;
  readonly lowestPriorityRatio: Summary;
  /** The rate with the starved agent over that with one at normal priority. */
  readonly lowestToNormalPriority: Summary;
  readonly spansPerRequest: Record<string, Summary>;
  /** Calls that the kernel side left out, of those that it saw. */
  readonly droppedPerCall: Summary;
}

interface Watched {
  readonly rate: number;
  readonly spansPerRequest: number;
  readonly droppedPerCall: number;
}

export async function benchOverload(
  folder: string,
  options: { readonly rounds: number; readonly seconds: number },
): Promise<OverloadResult> {
  const nginx = await startNginx(folder, PORT, NGINX_CORE);
  const load = { seconds: options.seconds, connections: 64, core: LOAD_CORE };
  const watched = async (nice: number): Promise<Watched> => {
    const config = agentConfig(`[{ports: [${PORT}]}]`, "{nop: {}}");
    const agent = await startAgent(config, { folder, core: LOAD_CORE, nice });
    try {
      const rate = await saturate(PORT, load);
      await sleep(1500);
      const metrics = await agent.metrics();
      const receiver = (name: string): number =>
        total(metrics, `backstitch_ebpf_l7_records_${name}`);
      return {
        rate,
        spansPerRequest:
          total(metrics, "otelcol_receiver_accepted_spans") / (rate * options.seconds),
        droppedPerCall: receiver("dropped") / receiver("seen"),
      };
    } finally {
      await agent.stop();
    }
  };
  const none: number[] = [];
  const normalPriority: Watched[] = [];
  const lowestPriority: Watched[] = [];
  try {
    await saturate(PORT, { ...load, seconds: 2 });
    for (let round = 0; round < options.rounds; round++) {
      none.push(await saturate(PORT, load));
      normalPriority.push(await watched(0));
      lowestPriority.push(await watched(LOWEST_PRIORITY));
    }
  } finally {
    await nginx.stop();
  }
  const ratio = (one: readonly Watched[], others: readonly number[]): Summary =>
    summarise(one.map(({ rate }, round) => rate / (others[round] ?? Number.NaN)));
  const rates = (runs: readonly Watched[]): number[] => runs.map(({ rate }) => rate);
  const shares = (runs: readonly Watched[]): Summary =>
    summarise(runs.map(({ spansPerRequest }) => spansPerRequest));
  return {
    requestsPerSecond: {
      none: summarise(none),
      normalPriority: summarise(rates(normalPriority)),
      lowestPriority: summarise(rates(lowestPriority)),
    },
    normalPriorityRatio: ratio(normalPriority, none),
    lowestPriorityRatio: ratio(lowestPriority, none),
    lowestToNormalPriority: ratio(lowestPriority, rates(normalPriority)),
    spansPerRequest: {
      normalPriority: shares(normalPriority),
      lowestPriority: shares(lowestPriority),
    },
    droppedPerCall: summarise(lowestPriority.map(({ droppedPerCall }) => droppedPerCall)),
  };
}
