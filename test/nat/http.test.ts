// SPDX-License-Identifier: Apache-2.0
// Real NAT of the kernel between namespaces; real HTTP; the agent as a user starts it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { FlatSpan } from "../support/otlp-json.ts";
import { orders } from "../support/services.ts";
import { startNatAgent } from "./nat-agent.ts";
import { type Addresses, BACKEND_PORT, IPV4, IPV6, NatBed, SERVICE_PORT } from "./nat-bed.ts";
import { type Translation, translate } from "./rules.ts";

const LOAD = join(import.meta.dirname, "../support/load-main.ts");
const BACKENDS = ["one", "two", "three"] as const;
const REQUESTS = 30;
/** As agents that may not read connection tracking. */
const DENIED = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"];

interface Case extends Translation {
  readonly evidence: "conntrack" | "byte_name";
  /** Where the requests come from; a backend asks its own service then. */
  readonly from?: "client" | "one";
}

/** Requests through the service, as the agent's spans show them. */
async function observe(given: Case): Promise<readonly FlatSpan[]> {
  const { addresses, evidence, from = "client" } = given;
  await using bed = new NatBed();
  translate(bed, given);
  const targets: Record<string, number> = {};
  for (const name of BACKENDS) {
    const listen = `${addresses.url(addresses[name])}:${BACKEND_PORT}`;
    const backend = await bed.start(name, { ...orders({ listen }), readyPort: BACKEND_PORT });
    targets[name] = backend.pid;
  }
  const load = { host: addresses.service, port: SERVICE_PORT, requests: REQUESTS };
  const options = { ...load, concurrency: 3, paths: ["/order/{id}"], keepAlive: false };
  const isConntrack = evidence === "conntrack";
  const namespaces = `["${bed.path("outer")}", "${bed.path("inner")}"]`;
  const gate = join(import.meta.dirname, "gated-load.ts");
  const client = await bed.start(from, {
    command: process.execPath,
    args: [gate, LOAD, JSON.stringify(options)],
    readyOutput: /waiting/,
  });
  targets["client"] = client.pid;
  await using agent = await startNatAgent({
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
  assert.match(client.output(), new RegExp(`"200":${REQUESTS}`));
  return await agent.spansWhen((spans) => spans.length >= REQUESTS * 2);
}

/** Every client span names the process that answered, every server span the one that asked. */
function assertReal(spans: readonly FlatSpan[], given: Case): void {
  const { addresses, evidence, from = "client" } = given;
  const clients = spans.filter(({ kind }) => kind === "client");
  const servers = spans.filter(({ kind }) => kind === "server");
  assert.equal(clients.length, REQUESTS);
  assert.equal(servers.length, REQUESTS);
  const byId = new Map(clients.map((span) => [span.spanId, span]));
  const asked = new Set<string>();
  for (const server of servers) {
    const client = byId.get(server.parentSpanId);
    assert.ok(client !== undefined, "each server span has its client span as parent");
    byId.delete(client.spanId);
    assert.equal(client.traceId, server.traceId);
    assert.equal(client.attributes.get("url.full")?.toString().split("/").at(-1), pathEnd(server));
    const real = addressOf(addresses, server.service);
    asked.add(real);
    const show = JSON.stringify([...client.attributes].map(String));
    assert.equal(client.attributes.get("network.peer.address"), real, show);
    assert.equal(client.attributes.get("network.peer.port"), BigInt(BACKEND_PORT));
    assert.equal(client.attributes.get("server.address"), real);
    assert.equal(client.attributes.get("server.port"), BigInt(BACKEND_PORT));
    assert.equal(client.attributes.get("nat.evidence"), evidence);
    assert.equal(client.attributes.get("nat.original.server.address"), addresses.service);
    assert.equal(client.attributes.get("nat.original.server.port"), BigInt(SERVICE_PORT));
    assert.equal(server.attributes.get("client.address"), addresses[from]);
    assert.equal(server.attributes.get("network.peer.address"), addresses[from]);
    assert.equal(
      server.attributes.get("network.peer.port"),
      client.attributes.get("network.local.port"),
    );
  }
  assert.equal(asked.size, BACKENDS.length, "all three backends were asked");
}

function pathEnd(span: FlatSpan): string | undefined {
  return span.attributes.get("url.path")?.toString().split("/").at(-1);
}

function addressOf(addresses: Addresses, service: string): string {
  const name = BACKENDS.find((one) => one === service);
  assert.ok(name !== undefined, service);
  return addresses[name];
}

const CASES: Readonly<Record<string, Case>> = {
  "a service by iptables": {
    ...{ addresses: IPV4, tool: "iptables", layers: 1, masquerade: false, evidence: "conntrack" },
  },
  "a service by nft, the sender hidden behind random ports": {
    ...{ addresses: IPV4, tool: "nft", layers: 1, masquerade: true, evidence: "conntrack" },
  },
  "two layers of NAT by iptables, the sender hidden twice": {
    ...{ addresses: IPV4, tool: "iptables", layers: 2, masquerade: true, evidence: "conntrack" },
  },
  "the same over IPv6 by nft": {
    ...{ addresses: IPV6, tool: "nft", layers: 2, masquerade: true, evidence: "conntrack" },
  },
  "a backend that asks its own service": {
    ...{ addresses: IPV4, tool: "iptables", layers: 1, masquerade: true, evidence: "conntrack" },
    from: "one",
  },
  "two layers of NAT, connection tracking denied": {
    ...{ addresses: IPV4, tool: "nft", layers: 2, masquerade: true, evidence: "byte_name" },
  },
  "over IPv6 by iptables, connection tracking denied": {
    ...{ addresses: IPV6, tool: "iptables", layers: 2, masquerade: true, evidence: "byte_name" },
  },
};

for (const [name, given] of Object.entries(CASES)) {
  test(`${name}: every span has the right addresses and parent`, async () => {
    assertReal(await observe(given), given);
  });
}
