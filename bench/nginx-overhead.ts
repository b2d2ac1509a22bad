// SPDX-License-Identifier: Apache-2.0
// nginx answering a constant on one core at saturation: requests/s without the agent, with the
// agent attached and selecting something else, and with the agent selecting nginx. Interleaved.

import { total } from "../test/support/own-metrics.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { type Summary, summarise } from "./support/machine.ts";
import { saturate, startNginx } from "./support/server.ts";

const PORT = 18400;
const NGINX_CORE = 0;
const LOAD_CORE = 1;

export interface OverheadResult {
  readonly requestsPerSecond: Record<string, Summary>;
  readonly selectedRatio: Summary;
  readonly attachedRatio: Summary;
  /** Share of requests that became spans while nginx was saturated. */
  readonly spansPerRequest: Summary;
}

export async function benchNginxOverhead(
  folder: string,
  options: { readonly rounds: number; readonly seconds: number },
): Promise<OverheadResult> {
  const nginx = await startNginx(folder, PORT, NGINX_CORE);
  const rates = { none: [] as number[], attached: [] as number[], selected: [] as number[] };
  const spanShares: number[] = [];
  const load = { seconds: options.seconds, connections: 64, core: LOAD_CORE };
  try {
    await saturate(PORT, { ...load, seconds: 2 });
    for (let round = 0; round < options.rounds; round++) {
      rates.none.push(await saturate(PORT, load));
      for (const mode of ["attached", "selected"] as const) {
        const ports = mode === "selected" ? PORT : PORT + 1;
        const config = agentConfig(`[{ports: [${ports}]}]`, "{nop: {}}");
        const agent = await startAgent(config, { folder, core: LOAD_CORE });
        try {
          const rate = await saturate(PORT, load);
          rates[mode].push(rate);
          if (mode === "selected") {
            await new Promise((resolve) => setTimeout(resolve, 1000));
            const spans = total(await agent.metrics(), "otelcol_receiver_accepted_spans");
            spanShares.push(spans / (rate * options.seconds));
          }
        } finally {
          await agent.stop();
        }
      }
    }
  } finally {
    await nginx.stop();
  }
  const ratio = (mode: "attached" | "selected"): Summary =>
    summarise(rates[mode].map((rate, round) => rate / (rates.none[round] ?? Number.NaN)));
  return {
    requestsPerSecond: {
      none: summarise(rates.none),
      attached: summarise(rates.attached),
      selected: summarise(rates.selected),
    },
    selectedRatio: ratio("selected"),
    attachedRatio: ratio("attached"),
    spansPerRequest: summarise(spanShares),
  };
}
