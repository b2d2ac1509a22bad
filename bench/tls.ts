// SPDX-License-Identifier: Apache-2.0
// nginx under TLS answering a constant at saturation: without the agent, and with its TLS read.
// Interleaved. Twice: with the load generator on a core of its own, for requests a second; and on
// nginx's core, for the CPU time that nginx needs for a request. There nobody is woken on another
// core, which in a virtual machine costs more than what is measured.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { prepareNginx } from "../test/apps/nginx.ts";
import { makeCertificate } from "../test/support/certificate.ts";
import { total } from "../test/support/own-metrics.ts";
import { freePorts } from "../test/support/proc-net.ts";
import { startProcess } from "../test/support/process.ts";
import { type Agent, agentConfig, startAgent } from "./support/agent.ts";
import { cpuSeconds, type Summary, summarise } from "./support/machine.ts";
import { saturate } from "./support/server.ts";

const NGINX_CORE = 0;
const LOAD_CORE = 1;
const CONNECTIONS = 32;
/** Of `tls_probes`: nginx's master and its worker. */
const PROCESSES = 2;

interface Round {
  readonly rate: number;
  readonly cpuNs: number;
}

interface Server {
  readonly port: number;
  readonly worker: number;
  readonly seconds: number;
}

/** Both placements of the load generator. */
interface Rounds {
  readonly apart: readonly Round[];
  readonly together: readonly Round[];
}

export interface TlsResult {
  readonly requestsPerSecond: { readonly without: Summary; readonly withTls: Summary };
  /** Load generator and nginx on two cores. */
  readonly requestRatio: Summary;
  readonly cpuNsPerRequest: { readonly without: Summary; readonly withTls: Summary };
  /** Load generator and nginx on one core: without to with. */
  readonly cpuRatio: Summary;
  /** Share of requests that became spans at saturation. */
  readonly spansPerRequest: Summary;
  /** Breakpoints in the process. */
  readonly probes: number;
}

export async function benchTls(
  folder: string,
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<TlsResult> {
  using tls = makeCertificate();
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
  const args = ["-c", `${NGINX_CORE}`, nginx.command, ...nginx.args];
  await using server = await startProcess({ command: "taskset", args, readyPort: port });
  const measured: Server = { port, worker: workerOf(server.pid), seconds };
  const without = { apart: [] as Round[], together: [] as Round[] };
  const withTls = { apart: [] as Round[], together: [] as Round[] };
  const spans: number[] = [];
  let probes = 0;
  await measure(measured, LOAD_CORE);
  for (let round = 0; round < rounds; round++) {
    without.apart.push(await measure(measured, LOAD_CORE));
    without.together.push(await measure(measured, NGINX_CORE));
    const agent = await startAgent(agentConfig(`[{ports: [${port}]}]`, "{nop: {}}"), { folder });
    try {
      probes = await untilProbed(agent);
      const made = await spansOf(agent);
      const apart = await measure(measured, LOAD_CORE);
      await sleep(1000);
      spans.push(((await spansOf(agent)) - made) / (apart.rate * seconds));
      withTls.apart.push(apart);
      withTls.together.push(await measure(measured, NGINX_CORE));
    } finally {
      await agent.stop();
    }
  }
  return resultOf(without, withTls, { spans, probes });
}

function resultOf(
  without: Rounds,
  withTls: Rounds,
  { spans, probes }: { readonly spans: readonly number[]; readonly probes: number },
): TlsResult {
  const each = (rounds: readonly Round[], of: (round: Round) => number): Summary =>
    summarise(rounds.map(of));
  const rate = ({ rate }: Round): number => rate;
  const cpu = ({ cpuNs }: Round): number => cpuNs;
  const ratio = (placement: keyof Rounds, of: (round: Round) => number): Summary =>
    summarise(
      withTls[placement].map((one, index) => of(one) / of(without[placement][index] ?? one)),
    );
  return {
    requestsPerSecond: { without: each(without.apart, rate), withTls: each(withTls.apart, rate) },
    requestRatio: ratio("apart", rate),
    cpuNsPerRequest: { without: each(without.together, cpu), withTls: each(withTls.together, cpu) },
    cpuRatio: ratio("together", (one) => 1 / cpu(one)),
    spansPerRequest: summarise(spans),
    probes: probes / PROCESSES,
  };
}

function workerOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return Number(children.trim().split(" ")[0]);
}

async function measure({ port, worker, seconds }: Server, core: number): Promise<Round> {
  const load = { seconds, connections: CONNECTIONS, core, scheme: "https" } as const;
  const before = cpuSeconds(worker);
  const rate = await saturate(port, load);
  return { rate, cpuNs: (1e9 * (cpuSeconds(worker) - before)) / (rate * seconds) };
}

/** Until the TLS library of both processes is probed: the places. */
async function untilProbed(agent: Agent): Promise<number> {
  let processes = 0;
  for (let turn = 0; turn < 300; turn++) {
    const metrics = await agent.metrics();
    processes = total(metrics, "backstitch_ebpf_l7_tls_processes");
    if (processes === PROCESSES) return total(metrics, "backstitch_ebpf_l7_tls_probes");
    await sleep(100);
  }
  throw new Error(`TLS is read in ${processes} of nginx's ${PROCESSES} processes`);
}

async function spansOf(agent: Agent): Promise<number> {
  return total(await agent.metrics(), "otelcol_receiver_accepted_spans");
}
