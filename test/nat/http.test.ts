// SPDX-License-Identifier: Apache-2.0
// Real NAT of the kernel between namespaces; real HTTP; the agent as a user starts it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlatSpan } from "../support/otlp-json.ts";
import type { HistogramPoint } from "../support/otlp-metrics-json.ts";
import { type Addresses, BACKEND_PORT, IPV4, IPV6, SERVICE_PORT } from "./nat-bed.ts";
import { BACKENDS, type Case, observe, underLoad } from "./observe.ts";

const REQUESTS = 30;
const LOAD = { requests: REQUESTS, concurrency: 3, keepAlive: false };

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
  "a backend that asks its own service, connection tracking denied": {
    ...{ addresses: IPV4, tool: "nft", layers: 1, masquerade: true, evidence: "byte_name" },
    from: "one",
  },
  "over IPv6 by iptables, connection tracking denied": {
    ...{ addresses: IPV6, tool: "iptables", layers: 2, masquerade: true, evidence: "byte_name" },
  },
};

for (const [name, given] of Object.entries(CASES)) {
  test(`${name}: every span has the right addresses and parent`, async () => {
    assertReal(await observe(given, LOAD), given);
  });
}

test("metrics of requests through a service name the one backend that all went to", async () => {
  const given: Case = {
    ...{ addresses: IPV4, tool: "iptables", layers: 1, masquerade: false, evidence: "conntrack" },
    backends: ["two"],
  };
  const isAsked = ({ metric, attributes }: HistogramPoint): boolean =>
    metric === "http.client.request.duration" && attributes.has("nat.original.server.address");
  const points = await underLoad(given, LOAD, { metrics: true }, (agent) =>
    agent.histogramsWhen((found) => found.some(isAsked)),
  );
  const { attributes } = points.findLast(isAsked) ?? assert.fail("no point was rewritten");
  assert.equal(attributes.get("server.address"), IPV4.two);
  assert.equal(attributes.get("server.port"), BigInt(BACKEND_PORT));
  assert.equal(attributes.get("nat.original.server.address"), IPV4.service);
  assert.equal(attributes.get("nat.evidence"), "conntrack");
});
