// SPDX-License-Identifier: Apache-2.0
// How many requests are linked through real NAT, and how many wrongly. Truth is in the paths.
import { IPV4, IPV6 } from "../test/nat/nat-bed.ts";
import { type Case, observe } from "../test/nat/observe.ts";
import type { FlatSpan } from "../test/support/otlp-json.ts";

const CASES: Readonly<Record<string, Case>> = {
  "one layer, three backends, iptables, conntrack": {
    ...{ addresses: IPV4, tool: "iptables", layers: 1, masquerade: false, evidence: "conntrack" },
  },
  "two layers, masquerade with random ports, nft, conntrack": {
    ...{ addresses: IPV4, tool: "nft", layers: 2, masquerade: true, evidence: "conntrack" },
  },
  "two layers, masquerade with random ports, iptables, conntrack denied": {
    ...{ addresses: IPV4, tool: "iptables", layers: 2, masquerade: true, evidence: "byte_name" },
  },
  "the same over IPv6": {
    ...{ addresses: IPV6, tool: "nft", layers: 2, masquerade: true, evidence: "byte_name" },
  },
};

interface NatResult {
  readonly requests: number;
  /** Server spans with a parent. */
  readonly linked: number;
  /** Whose parent is another request's. */
  readonly wrong: number;
  readonly linkedPercent: number;
  /** Client spans that name who answered, and server spans that name who asked. */
  readonly rightAddresses: number;
}

const endOf = (span: FlatSpan): string | undefined =>
  (span.attributes.get("url.full") ?? span.attributes.get("url.path"))
    ?.toString()
    .split("/")
    .at(-1);

async function measure(given: Case, requests: number): Promise<NatResult> {
  const spans = await observe(given, { requests, concurrency: 8, keepAlive: false });
  const clients = new Map(
    spans.filter(({ kind }) => kind === "client").map((span) => [span.spanId, span]),
  );
  const servers = spans.filter(({ kind }) => kind === "server");
  const { addresses } = given;
  const own: ReadonlyMap<string, string> = new Map(Object.entries({ ...addresses, url: "" }));
  let [linked, wrong, rightAddresses] = [0, 0, 0];
  for (const server of servers) {
    const client = clients.get(server.parentSpanId);
    if (server.parentSpanId !== "") linked++;
    if (client === undefined) {
      if (server.parentSpanId !== "") wrong++;
      continue;
    }
    if (endOf(client) !== endOf(server) || client.traceId !== server.traceId) wrong++;
    const isRight =
      client.attributes.get("network.peer.address") === own.get(server.service) &&
      server.attributes.get("client.address") === addresses.client;
    if (isRight) rightAddresses++;
  }
  const linkedPercent = Number(((linked * 100) / requests).toFixed(3));
  return { requests, linked, wrong, linkedPercent, rightAddresses };
}

export async function benchNat(requests: number): Promise<Readonly<Record<string, NatResult>>> {
  const results: Record<string, NatResult> = {};
  for (const [name, given] of Object.entries(CASES)) results[name] = await measure(given, requests);
  return results;
}
