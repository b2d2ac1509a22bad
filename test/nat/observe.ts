// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { join } from "node:path";
import type { FlatSpan } from "../support/otlp-json.ts";
import { orders } from "../support/services.ts";
import { DENIED, type NatAgent, startNatAgent } from "./nat-agent.ts";
import { BACKEND_PORT, NatBed, SERVICE_PORT } from "./nat-bed.ts";
import { type Translation, translate } from "./rules.ts";

const LOAD = join(import.meta.dirname, "../support/load-main.ts");
export const BACKENDS = ["one", "two", "three"] as const;

export interface Case extends Translation {
  readonly evidence: "conntrack" | "byte_name";
  /** Where the requests come from; a backend asks its own service then. */
  readonly from?: "client" | "one";
}

export interface Load {
  readonly requests: number;
  readonly concurrency: number;
  readonly keepAlive: boolean;
}

/** Requests through the service, as the agent's spans show them. */
export async function observe(given: Case, load: Load): Promise<readonly FlatSpan[]> {
  return await underLoad(given, load, {}, (agent) =>
    agent.spansWhen((spans) => spans.length >= load.requests * 2),
  );
}

/** Starts backends, an agent and a client behind the NAT; `read` is asked when the client is done. */
export async function underLoad<T>(
  given: Case,
  load: Load,
  more: { readonly metrics?: boolean },
  read: (agent: NatAgent) => Promise<T>,
): Promise<T> {
  const { addresses, evidence, from = "client" } = given;
  await using bed = new NatBed();
  translate(bed, given);
  const targets: Record<string, number> = {};
  for (const name of BACKENDS) {
    const listen = `${addresses.url(addresses[name])}:${BACKEND_PORT}`;
    const backend = await bed.start(name, { ...orders({ listen }), readyPort: BACKEND_PORT });
    targets[name] = backend.pid;
  }
  const to = { host: addresses.service, port: SERVICE_PORT, paths: ["/order/{id}"] };
  const isConntrack = evidence === "conntrack";
  const namespaces = `["${bed.path("outer")}", "${bed.path("inner")}"]`;
  const gate = join(import.meta.dirname, "gated-load.ts");
  const client = await bed.start(from, {
    command: process.execPath,
    args: [gate, LOAD, JSON.stringify({ ...to, ...load })],
    readyOutput: /waiting/,
  });
  targets["client"] = client.pid;
  await using agent = await startNatAgent({
    ...more,
    targets,
    processors: {
      span_stitch: "{}",
      nat_rewrite: `{conntrack: {namespaces: ${namespaces}}, pairs: {enabled: ${!isConntrack}}}`,
    },
    prefix: isConntrack ? [] : DENIED,
  });
  process.kill(client.pid, "SIGUSR2");
  const { code } = await client.ended;
  assert.equal(code, 0, client.output());
  assert.match(client.output(), new RegExp(`"200":${load.requests}`));
  return await read(agent);
}
