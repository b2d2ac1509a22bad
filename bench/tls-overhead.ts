// SPDX-License-Identifier: Apache-2.0
// nginx under TLS answering a constant on one core at saturation: without the agent, and with its
// TLS read. Interleaved. Requests a second, and the CPU time of nginx a request, which is less
// disturbed by what else the machine does.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareNginx } from "../test/apps/nginx.ts";
import { makeCertificate } from "../test/support/certificate.ts";
import { total } from "../test/support/own-metrics.ts";
import { freePorts } from "../test/support/proc-net.ts";
import { startProcess } from "../test/support/process.ts";
import { agentConfig, startAgent } from "./support/agent.ts";
import { cpuSeconds, describeMachine, type Summary, summarise } from "./support/machine.ts";
import { saturate } from "./support/server.ts";

const NGINX_CORE = 0;
const LOAD_CORE = 1;
const ROUNDS = 4;
const LOAD = { seconds: 4, connections: 32, core: LOAD_CORE };

interface Round {
  readonly rate: number;
  readonly cpuNs: number;
}

function workerOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return Number(children.trim().split(" ")[0]);
}

async function measure(port: number, worker: number): Promise<Round> {
  const before = cpuSeconds(worker);
  const rate = await saturate(port, { ...LOAD, scheme: "https" });
  return { rate, cpuNs: (1e9 * (cpuSeconds(worker) - before)) / (rate * LOAD.seconds) };
}

async function main(): Promise<void> {
  using tls = makeCertificate();
  const folder = mkdtempSync(join(tmpdir(), "bench-tls-"));
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
  const pinned = {
    command: "taskset",
    args: ["-c", `${NGINX_CORE}`, nginx.command, ...nginx.args],
  };
  await using server = await startProcess({ ...pinned, readyPort: port });
  const worker = workerOf(server.pid);
  const without: Round[] = [];
  const withTls: Round[] = [];
  const spans: number[] = [];
  let probes = 0;
  await measure(port, worker);
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await measure(port, worker));
    const config = agentConfig(`[{ports: [${port}]}]`, "{nop: {}}");
    const agent = await startAgent(config, { folder });
    try {
      const one = await measure(port, worker);
      withTls.push(one);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const metrics = await agent.metrics();
      probes = total(metrics, "backstitch_ebpf_l7_tls_probes");
      const made = total(metrics, "otelcol_receiver_accepted_spans");
      spans.push(made / (one.rate * LOAD.seconds));
    } finally {
      await agent.stop();
    }
  }
  rmSync(folder, { recursive: true, force: true });
  const ratio = (of: (one: Round) => number): Summary =>
    summarise(withTls.map((one, index) => of(one) / of(without[index] ?? one)));
  const result = {
    machine: describeMachine(),
    requestsPerSecond: {
      without: summarise(without.map(({ rate }) => rate)),
      withTls: summarise(withTls.map(({ rate }) => rate)),
    },
    cpuNsPerRequest: {
      without: summarise(without.map(({ cpuNs }) => cpuNs)),
      withTls: summarise(withTls.map(({ cpuNs }) => cpuNs)),
    },
    requestRatio: ratio(({ rate }) => rate),
    cpuRatio: ratio(({ cpuNs }) => 1 / cpuNs),
    spansPerRequest: summarise(spans),
    probes,
  };
  const text = `${JSON.stringify(result, undefined, 2)}\n`;
  writeFileSync(join(import.meta.dirname, "results/tls-overhead.json"), text);
  process.stdout.write(text);
}

await main();
