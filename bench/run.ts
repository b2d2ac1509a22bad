// SPDX-License-Identifier: Apache-2.0
// `npm run bench [-- NAME …]`: overhead, overload, steady, kernel, collector, protocols, page, store, soak, conntrack, gateway, nat, tls. Writes bench/results/NAME.json.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { benchCollector } from "./collector.ts";
import { benchConntrack } from "./conntrack.ts";
import { benchGateway } from "./gateway-speed.ts";
import { benchKernelTime } from "./kernel-time.ts";
import { benchNat } from "./nat.ts";
import { benchNginxOverhead } from "./nginx-overhead.ts";
import { benchOverload } from "./overload.ts";
import { benchPage } from "./page.ts";
import { benchProtocols } from "./protocols.ts";
import { benchSteadyRate } from "./steady-rate.ts";
import { benchStore } from "./store.ts";
import { describeMachine } from "./support/machine.ts";
import { benchTls } from "./tls.ts";

const BENCHES: Readonly<Record<string, (folder: string) => Promise<unknown>>> = {
  overhead: (folder) => benchNginxOverhead(folder, { rounds: 5, seconds: 6 }),
  overload: (folder) => benchOverload(folder, { rounds: 3, seconds: 6 }),
  steady: (folder) => benchSteadyRate(folder, { rate: 20_000, warmUpSeconds: 10, seconds: 30 }),
  kernel: (folder) => benchKernelTime(folder, { rate: 20_000, seconds: 6, rounds: 3 }),
  collector: (folder) => benchCollector(folder, { rounds: 3, seconds: 10 }),
  protocols: async () => benchProtocols(4),
  page: () => benchPage(8),
  store: (folder) => benchStore(folder, { spans: 10_000_000 }),
  conntrack: () => benchConntrack(),
  gateway: () => benchGateway(),
  nat: () => benchNat(3000),
  tls: (folder) => benchTls(folder, { rounds: 4, seconds: 4 }),
  soak: (folder) => benchSteadyRate(folder, { rate: 20_000, warmUpSeconds: 10, seconds: 300 }),
};

async function main(): Promise<void> {
  const named = process.argv.slice(2);
  const names = named.length > 0 ? named : ["overhead", "overload", "steady", "kernel"];
  const results = join(import.meta.dirname, "results");
  mkdirSync(results, { recursive: true });
  for (const name of names) {
    const bench = BENCHES[name];
    if (bench === undefined) {
      throw new Error(`no bench "${name}"; there are ${Object.keys(BENCHES).join(", ")}`);
    }
    const folder = mkdtempSync(join(tmpdir(), "backstitch-bench-"));
    try {
      const result = { machine: describeMachine(), result: await bench(folder) };
      const text = `${JSON.stringify(result, null, 2)}\n`;
      writeFileSync(join(results, `${name}.json`), text);
      process.stdout.write(`${name}: ${text}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

await main();
