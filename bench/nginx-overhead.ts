// SPDX-License-Identifier: Apache-2.0
// nginx answering a constant on one core at saturation: requests/s without the agent, with the
// agent attached and selecting something else, and with the agent selecting nginx. Interleaved.
//
// The load generator has the other core, and shares it with the agent: what the agent takes, fewer
// requests are sent, and nginx's core stands idle. So two ratios are told. Requests a second is what
// such a machine loses in all. Requests a busy second of nginx's core is what the application pays:
// the programs in its system calls, and caches shared with the agent.
import { setTimeout as sleep } from "node:timers/promises";
import { total } from "../test/support/own-metrics.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { busySeconds, type Summary, summarise } from "./support/machine.ts";
import { saturate, startNginx } from "./support/server.ts";

const PORT = 18400;
const NGINX_CORE = 0;
const LOAD_CORE = 1;
/** As deploy/systemd sets it. */
const YIELDING_NICE = 15;

const MODES = ["none", "attached", "selected", "yielding"] as const;
type Mode = (typeof MODES)[number];
/** With the agent that selects nothing, nginx, or nginx while it yields to everybody. */
type WatchedMode = Exclude<Mode, "none">;

interface ModeResult {
  readonly requestsPerSecond: Summary;
  readonly requestsPerBusySecond: Summary;
  /** Of nginx's core, 0 to 1; others' work on it is in it. */
  readonly busyShare: Summary;
}

interface WatchedResult extends ModeResult {
  /** Against no agent, in the same round. */
  readonly ratio: Summary;
  readonly busyRatio: Summary;
  /** Share of requests that became spans; the rest were shed and counted. */
  readonly spansPerRequest: Summary;
}

export interface OverheadResult {
  readonly none: ModeResult;
  readonly watched: Readonly<Record<WatchedMode, WatchedResult>>;
}

interface Run {
  readonly rate: number;
  readonly busyRate: number;
  readonly busyShare: number;
  readonly spansPerRequest: number;
}

interface Options {
  readonly rounds: number;
  readonly seconds: number;
}

export async function benchNginxOverhead(
  folder: string,
  options: Options,
): Promise<OverheadResult> {
  const nginx = await startNginx(folder, PORT, NGINX_CORE);
  const runs: Record<Mode, Run[]> = { none: [], attached: [], selected: [], yielding: [] };
  try {
    await saturated(2);
    for (let round = 0; round < options.rounds; round++) {
      for (const mode of MODES) {
        const run = mode === "none" ? saturated : watched(folder, mode);
        runs[mode].push(await run(options.seconds));
      }
    }
  } finally {
    await nginx.stop();
  }
  return {
    none: resultOf(runs.none),
    watched: {
      attached: compare(runs.attached, runs.none),
      selected: compare(runs.selected, runs.none),
      yielding: compare(runs.yielding, runs.none),
    },
  };
}

async function saturated(seconds: number): Promise<Run> {
  const before = busySeconds(NGINX_CORE);
  const rate = await saturate(PORT, { seconds, connections: 64, core: LOAD_CORE });
  const busy = busySeconds(NGINX_CORE) - before;
  const requests = rate * seconds;
  return { rate, busyRate: requests / busy, busyShare: busy / seconds, spansPerRequest: 0 };
}

function watched(folder: string, mode: WatchedMode): (seconds: number) => Promise<Run> {
  return async (seconds) => {
    const port = mode === "attached" ? PORT + 1 : PORT;
    const nice = mode === "yielding" ? { nice: YIELDING_NICE } : {};
    const config = agentConfig(`[{ports: [${port}]}]`, "{nop: {}}");
    const agent = await startAgent(config, { folder, core: LOAD_CORE, ...nice });
    try {
      const run = await saturated(seconds);
      await sleep(1000);
      const spans = total(await agent.metrics(), "otelcol_receiver_accepted_spans");
      return { ...run, spansPerRequest: spans / (run.rate * seconds) };
    } finally {
      await agent.stop();
    }
  };
}

function resultOf(runs: readonly Run[]): ModeResult {
  return {
    requestsPerSecond: summarise(runs.map(({ rate }) => rate)),
    requestsPerBusySecond: summarise(runs.map(({ busyRate }) => busyRate)),
    busyShare: summarise(runs.map(({ busyShare }) => busyShare)),
  };
}

function compare(runs: readonly Run[], none: readonly Run[]): WatchedResult {
  const ratio = (key: "rate" | "busyRate"): Summary =>
    summarise(runs.map((run, round) => run[key] / (none[round]?.[key] ?? Number.NaN)));
  return {
    ...resultOf(runs),
    ratio: ratio("rate"),
    busyRatio: ratio("busyRate"),
    spansPerRequest: summarise(runs.map(({ spansPerRequest }) => spansPerRequest)),
  };
}
