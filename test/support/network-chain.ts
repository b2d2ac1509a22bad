// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareNginx } from "../apps/nginx.ts";
import type { ExpectedSpan } from "./judge.ts";
import type { LoadOptions, LoadResult } from "./load.ts";
import { createNetworkBed, type NetworkBed } from "./netns.ts";
import type { RunningProcess } from "./process.ts";
import { buildStock, orders, prices, stock } from "./services.ts";

const PORT = 8080;
const HOSTS = ["client", "nginx", "orders", "prices", "stock"] as const;

/** What each request to the chain must leave: seven spans, two for each call between services. */
export const CHAIN_SPANS: readonly ExpectedSpan[] = [
  { key: "nginx in", service: "nginx", kind: "server", segment: "order" },
  { key: "nginx out", service: "nginx", kind: "client", segment: "order", parent: "nginx in" },
  { key: "orders in", service: "orders", kind: "server", segment: "order", parent: "nginx out" },
  { key: "orders out", service: "orders", kind: "client", segment: "price", parent: "orders in" },
  { key: "prices in", service: "prices", kind: "server", segment: "price", parent: "orders out" },
  { key: "prices out", service: "prices", kind: "client", segment: "stock", parent: "prices in" },
  { key: "stock in", service: "stock", kind: "server", segment: "stock", parent: "prices out" },
];

/** client → nginx → orders (Node) → prices (Python) → stock (Go), each on a host of its own. */
export interface NetworkChain {
  readonly bed: NetworkBed;
  readonly services: Readonly<Record<"nginx" | "orders" | "prices" | "stock", RunningProcess>>;
  /** Runs the load client on the host `client`, against nginx. */
  load(options: Omit<LoadOptions, "host" | "port">): Promise<LoadResult>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts the chain over IPv4 or IPv6. Needs root, and the four programs. */
export async function startNetworkChain(ipVersion: 4 | 6 = 4): Promise<NetworkChain> {
  const binary = await buildStock();
  const directory = mkdtempSync(join(tmpdir(), "network-chain-"));
  const bed = createNetworkBed(HOSTS);
  const close = async (): Promise<void> => {
    await bed.close();
    rmSync(directory, { recursive: true, force: true });
  };
  const address = (name: string): string =>
    ipVersion === 4 ? bed.host(name).ipv4 : bed.host(name).ipv6;
  const at = (name: string): string =>
    ipVersion === 4 ? `${address(name)}:${PORT}` : `[${address(name)}]:${PORT}`;
  const calling = (name: string, path: string) => ({ downstream: [`http://${at(name)}/${path}`] });
  try {
    const services = {
      stock: await bed.start("stock", stock({ listen: at("stock") }, binary)),
      prices: await bed.start(
        "prices",
        prices({ listen: at("prices"), ...calling("stock", "stock") }),
      ),
      orders: await bed.start(
        "orders",
        orders({ listen: at("orders"), ...calling("prices", "price") }),
      ),
      nginx: await bed.start("nginx", {
        ...prepareNginx({ directory, listen: [at("nginx")], upstream: at("orders") }),
        readyPort: PORT,
      }),
    };
    const load = async (options: Omit<LoadOptions, "host" | "port">): Promise<LoadResult> =>
      await loadFrom(bed, { ...options, host: address("nginx"), port: PORT });
    return { bed, services, load, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function loadFrom(bed: NetworkBed, options: LoadOptions): Promise<LoadResult> {
  const client = await bed.start("client", {
    command: process.execPath,
    args: [join(import.meta.dirname, "load-main.ts"), JSON.stringify(options)],
  });
  const { code } = await client.ended;
  if (code !== 0) throw new Error(`load client ended with ${code}\n${client.output()}`);
  return JSON.parse(client.output());
}
