// SPDX-License-Identifier: Apache-2.0
// What our agent in a JVM costs a request: two JVMs of one program, one with the agent, under the
// same load in turn. A request makes four calls, two of them from a second pool: three hand-overs,
// five reads. CPU time of the JVM, so that a loaded machine does not matter much.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { type JavaAgent, loadJavaAgent } from "../receivers/ebpf_l7/runtimes/java.ts";
import { AttachLater } from "../receivers/ebpf_l7/runtimes/java-attach.ts";
import { buildJava } from "../test/support/java-app.ts";
import { runLoad } from "../test/support/load.ts";
import { type RunningProcess, startProcess } from "../test/support/process.ts";
import { buildStock, stock } from "../test/support/services.ts";
import { describeMachine } from "./support/machine.ts";

const RESULTS = new URL("results/", import.meta.url);
const WARM_UP_ROUNDS = 3;
const ROUNDS = 5;
const REQUESTS = 2000;
const CONCURRENCY = 16;
const MS_PER_TICK = 10;
const USER_TIME = 11;

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[USER_TIME]) + Number(fields[USER_TIME + 1])) * MS_PER_TICK;
}

async function load(pid: number): Promise<JavaAgent> {
  for (;;) {
    try {
      return await loadJavaAgent(pid);
    } catch (error) {
      if (!(error instanceof AttachLater)) throw error;
      await setTimeout(500);
    }
  }
}

/** CPU time a request, ms. */
async function round({ pid, port }: RunningProcess): Promise<number> {
  const before = cpuMs(pid);
  const { statuses } = await runLoad({
    ...{ host: "127.0.0.1", port, requests: REQUESTS, concurrency: CONCURRENCY },
    ...{ paths: ["/order/{id}"], timeoutMs: 60_000, totalTimeoutMs: 120_000 },
  });
  if (statuses["200"] !== REQUESTS) throw new Error(JSON.stringify(statuses));
  return (cpuMs(pid) - before) / REQUESTS;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
}

await using own = new AsyncDisposableStack();
const leafCommand = stock({ listen: "127.0.0.1:0" }, await buildStock());
const leaf = own.use(await startProcess({ ...leafCommand, readyPort: 0 }));
const at = (path: string): string => `http://127.0.0.1:${leaf.port}/${path}`;
const [command = "", ...words] = await buildJava("truth/Pools");
const args = [
  ...[...words, "--listen", "127.0.0.1:0", "--connections", "8"],
  ...[
    "--downstream",
    at("a"),
    "--downstream",
    at("b"),
    "--parallel",
    at("c"),
    "--parallel",
    at("d"),
  ],
];
const without = own.use(await startProcess({ command, args, readyPort: 0 }));
const observed = own.use(await startProcess({ command, args, readyPort: 0 }));
const agent = await load(observed.pid);
const times = { without: [] as number[], with: [] as number[] };
for (let count = 0; count < WARM_UP_ROUNDS + ROUNDS; count++) {
  const pair = { without: await round(without), with: await round(observed) };
  if (count < WARM_UP_ROUNDS) continue;
  times.without.push(pair.without);
  times.with.push(pair.with);
}
agent.release();
const cpuMsPerRequest = { without: median(times.without), with: median(times.with) };
const ratios = times.with.map((value, index) => value / (times.without[index] ?? value));
const result = {
  machine: describeMachine(),
  ...{ requests: REQUESTS, concurrency: CONCURRENCY, rounds: ROUNDS },
  ...{ cpuMsPerRequest, ratio: median(ratios), ratios },
};
mkdirSync(RESULTS, { recursive: true });
writeFileSync(new URL("java-agent.json", RESULTS), `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result, null, 2));
