// SPDX-License-Identifier: Apache-2.0
// Two agents that know nothing of each other, two layers of NAT between what they watch, a gateway.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { startJaeger } from "../support/jaeger.ts";
import type { HistogramPoint } from "../support/otlp-metrics-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { buildStock, orders, prices, stock } from "../support/services.ts";
import { type NatAgent, startNatAgent } from "./nat-agent.ts";
import { BACKEND_PORT, IPV4, NatBed, NODE_PORT, SERVICE_PORT } from "./nat-bed.ts";

const REQUESTS = 20;
const SPANS = 5;
const PROCESSORS = { span_stitch: "{peer_ids: true}" };

/** front (client) ── NAT, NAT ── middle (one) ── NAT, NAT ── back (two). */
async function startChain(bed: NatBed): Promise<Record<string, RunningProcess>> {
  const nat = (router: "outer" | "inner", ...words: readonly string[]): string =>
    bed.inside(router, "iptables", "-t", "nat", ...words);
  const forward = (router: "outer" | "inner", from: string, port: number, to: string): void => {
    const match = ["-p", "tcp", "-d", from, "--dport", String(port)];
    nat(router, "-A", "PREROUTING", ...match, "-j", "DNAT", "--to-destination", to);
  };
  forward("outer", IPV4.service, SERVICE_PORT, `${IPV4.node}:${NODE_PORT}`);
  forward("inner", IPV4.node, NODE_PORT, `${IPV4.one}:${BACKEND_PORT}`);
  forward("inner", IPV4.service, SERVICE_PORT + 1, `${IPV4.two}:${BACKEND_PORT}`);
  for (const router of ["outer", "inner"] as const) {
    nat(router, "-A", "POSTROUTING", "-p", "tcp", "-j", "MASQUERADE", "--random-fully");
  }
  const listen = (address: string): string => `${address}:${BACKEND_PORT}`;
  const ready = { readyPort: BACKEND_PORT };
  const binary = await buildStock();
  const back = await bed.start("two", { ...stock({ listen: listen(IPV4.two) }, binary), ...ready });
  const middle = await bed.start("one", {
    ...prices({
      listen: listen(IPV4.one),
      downstream: [`http://${IPV4.service}:${SERVICE_PORT + 1}/stock`],
    }),
    ...ready,
  });
  const front = await bed.start("client", {
    ...orders({
      listen: listen(IPV4.client),
      downstream: [`http://${IPV4.service}:${SERVICE_PORT}/price`],
    }),
    ...ready,
  });
  return { front, middle, back };
}

async function askFront(bed: NatBed): Promise<void> {
  const urls = Array.from(
    { length: REQUESTS },
    (_, index) => `http://${IPV4.client}:${BACKEND_PORT}/order/${index + 1}`,
  );
  await using curl = await startProcess({
    ...{ command: "curl", args: ["-sSf", "-o", "/dev/null", ...urls] },
    netns: bed.netns("client"),
  });
  const { code } = await curl.ended;
  assert.equal(code, 0, curl.output());
}

function pidOf(chain: Record<string, RunningProcess>, name: string): number {
  return chain[name]?.pid ?? assert.fail(name);
}

test("agents that know nothing of each other: the gateway makes one trace of each request", async () => {
  await using bed = new NatBed();
  const chain = await startChain(bed);
  const [listen = 0] = await freePorts(1);
  const exporter = `{endpoint: "127.0.0.1:${listen}", tls: {insecure: true}}`;
  const sending = { processors: PROCESSORS, exporter: ["otlp_grpc", exporter] } as const;
  await using gateway = await startNatAgent({
    ...{ targets: {}, listen, serviceGraph: true },
    processors: {
      span_stitch: "{mode: gateway, gateway: {window: 1500ms}}",
      nat_rewrite: "{conntrack: {enabled: false}, pairs: {wait: 2s}}",
    },
  });
  await using _one = await startNatAgent({
    ...sending,
    targets: { front: pidOf(chain, "front"), back: pidOf(chain, "back") },
  });
  await using _two = await startNatAgent({
    ...sending,
    targets: { middle: pidOf(chain, "middle") },
  });
  await askFront(bed);
  const spans = await gateway.spansWhen((found) => found.length >= REQUESTS * SPANS);
  assert.equal(spans.length, REQUESTS * SPANS);
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const traces = new Set(spans.map(({ traceId }) => traceId));
  assert.equal(traces.size, REQUESTS);
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === "");
  assert.deepEqual(new Set(roots.map(({ service }) => service)), new Set(["front"]));
  assert.equal(roots.length, REQUESTS);
  const real = { front: IPV4.client, middle: IPV4.one, back: IPV4.two };
  for (const span of spans) {
    const parent = byId.get(span.parentSpanId);
    if (span.parentSpanId === "") continue;
    assert.ok(parent !== undefined, "every parent is in the output");
    assert.equal(parent.traceId, span.traceId);
    assert.equal(span.attributes.has("stitch.peer_span_id"), false);
    if (span.kind !== "server") continue;
    const ends = new Map(Object.entries(real));
    assert.equal(span.attributes.get("network.peer.address"), ends.get(parent.service));
    assert.equal(parent.attributes.get("network.peer.address"), ends.get(span.service));
    const [from, to] = [parent, span].map(({ attributes }) =>
      lastOf(attributes.get("url.full") ?? attributes.get("url.path")),
    );
    assert.equal(from, to, "the same request at both ends");
  }
  await assertGraph(gateway);
});

/** The services that called each other, not the virtual addresses that they asked for. */
async function assertGraph(gateway: NatAgent): Promise<void> {
  const metric = "traces_service_graph_request_client_seconds";
  const edges = (points: readonly HistogramPoint[]): Record<string, bigint> =>
    Object.fromEntries(
      points
        .filter((point) => point.metric === metric)
        .map(({ attributes, count }) => [
          ["client", "server"].map((name) => attributes.get(name)).join(" → "),
          count,
        ]),
    );
  const requests = BigInt(REQUESTS);
  const wanted = {
    "user → front": requests,
    "front → middle": requests,
    "middle → back": requests,
  };
  const names = Object.keys(wanted);
  const points = await gateway.histogramsWhen((found) => {
    const now = edges(found);
    return names.every((name) => now[name] === requests);
  });
  assert.deepEqual(edges(points), wanted);
}

function lastOf(value: unknown): string | undefined {
  return String(value).split("/").at(-1);
}

test("Jaeger shows one trace across three namespaces through two NATs", async () => {
  await using jaeger = await startJaeger();
  await using bed = new NatBed();
  const chain = await startChain(bed);
  await using agent = await startNatAgent({
    targets: Object.fromEntries(Object.entries(chain).map(([name, { pid }]) => [name, pid])),
    processors: { span_stitch: "{}", nat_rewrite: "{conntrack: {enabled: false}}" },
    exporter: ["otlp_grpc", `{endpoint: "${jaeger.otlpGrpcEndpoint}", tls: {insecure: true}}`],
  });
  await askFront(bed);
  const traces = await eventually(
    async () => await jaeger.traces("front"),
    (found) => found.length >= REQUESTS && found.every(({ length }) => length >= SPANS),
  );
  assert.equal(traces.length, REQUESTS, agent.process.output());
  for (const trace of traces) {
    assert.equal(trace.length, SPANS);
    assert.deepEqual(new Set(trace.map(({ service }) => service)), new Set(Object.keys(chain)));
    assert.equal(trace.filter(({ parentSpanId }) => parentSpanId === "").length, 1);
  }
});
