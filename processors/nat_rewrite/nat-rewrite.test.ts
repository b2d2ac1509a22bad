// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import { NatTable } from "../../src/conntrack/nat-table.ts";
import { entryOf } from "../../src/conntrack/testing.ts";
import { ServiceEndpoints } from "../../src/kubernetes/service-endpoints.ts";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { createCounts } from "./counts.ts";
import { Destinations } from "./destinations.ts";
import { factory } from "./factory.ts";
import { createSpanRewriter } from "./rewrite.ts";
import { createPointRewriter } from "./rewrite-points.ts";

const S = 1e9;
const NOW = 1_700_000_000 * S;
const ALWAYS = { sinceNs: 0, nowNs: 0, round: 1 };

type Values = Readonly<Record<string, string | number>>;

const toList = (values: Values): object[] =>
  Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === "string" ? { stringValue: value } : { intValue: String(value) },
  }));

interface SpanJson {
  readonly kind: 2 | 3;
  readonly spanId?: string;
  readonly parentSpanId?: string;
  readonly attributes: Values;
}

function request(signal: OtlpSignal, json: object): Batch {
  const encoded = fromOtlpJson(REQUESTS[signal].request, JSON.stringify(json));
  assert.ok(encoded.ok);
  return { signal, chunks: [encoded.bytes], items: 1, bytes: encoded.bytes.length };
}

function spans(list: readonly SpanJson[]): Batch {
  const all = list.map(({ attributes, ...span }) => ({
    ...{ traceId: "0".repeat(31).concat("1"), spanId: "00000000000000aa", name: "GET" },
    ...span,
    ...{ startTimeUnixNano: String(NOW), endTimeUnixNano: String(NOW + 1e6) },
    attributes: toList(attributes),
  }));
  return request("traces", { resourceSpans: [{ scopeSpans: [{ spans: all }] }] });
}

function decoded(signal: OtlpSignal, chunks: readonly Uint8Array[]): string {
  const json = toOtlpJson(REQUESTS[signal].request, Buffer.concat(chunks));
  assert.ok(json.ok);
  return json.json;
}

/** The attributes of every item, in order. */
function attributesIn(json: string): Values[] {
  const found: Values[] = [];
  JSON.parse(json, (key, value) => {
    if (key !== "attributes") return value;
    const list: { key: string; value: { stringValue?: string; intValue?: string } }[] = value;
    found.push(
      Object.fromEntries(
        list.map(({ key: name, value: { stringValue, intValue } }) => [
          name,
          stringValue ?? Number(intValue),
        ]),
      ),
    );
    return value;
  });
  return found;
}

const CLIENT: Values = {
  "server.address": "10.201.9.9",
  "server.port": 80,
  "network.peer.address": "10.201.9.9",
  "network.peer.port": 80,
  "network.local.address": "10.201.1.2",
  "network.local.port": 34_510,
};
const SERVER: Values = {
  "server.address": "10.201.9.9",
  "server.port": 80,
  "client.address": "10.201.2.1",
  "network.peer.address": "10.201.2.1",
  "network.peer.port": 28_647,
  "network.local.address": "10.201.2.2",
  "network.local.port": 18_092,
};
const REAL_CLIENT: Values = {
  ...CLIENT,
  "server.address": "10.201.2.2",
  "server.port": 18_092,
  "network.peer.address": "10.201.2.2",
  "network.peer.port": 18_092,
  "nat.original.server.address": "10.201.9.9",
  "nat.original.server.port": 80,
  "nat.original.network.peer.address": "10.201.9.9",
  "nat.original.network.peer.port": 80,
};
const REAL_SERVER: Values = {
  ...SERVER,
  "server.address": "10.201.2.2",
  "server.port": 18_092,
  "client.address": "10.201.1.2",
  "network.peer.address": "10.201.1.2",
  "network.peer.port": 34_510,
  "nat.original.server.address": "10.201.9.9",
  "nat.original.server.port": 80,
  "nat.original.client.address": "10.201.2.1",
  "nat.original.network.peer.address": "10.201.2.1",
  "nat.original.network.peer.port": 28_647,
};
const ENTRY = entryOf({
  original: { from: ["10.201.1.2", 34_510], to: ["10.201.9.9", 80] },
  reply: { from: ["10.201.2.2", 18_092], to: ["10.201.2.1", 28_647] },
});

function byConntrack(attributes: Values, kind: 2 | 3, table = new NatTable(100)): Values {
  table.put(ENTRY, ALWAYS);
  const { telemetry } = createMemoryTelemetry();
  const counts = createCounts(telemetry, "nat_rewrite");
  const rewriter = createSpanRewriter({ table, pairs: undefined, counts });
  const { chunks } = spans([{ kind, attributes }]);
  const out = chunks.map((chunk) => rewriter.rewrite(chunk));
  return attributesIn(decoded("traces", out))[0] ?? {};
}

test("by connection tracking a client span names the pod, a server span the client", () => {
  const evidence = { "nat.evidence": "conntrack" };
  assert.deepEqual(byConntrack(CLIENT, 3), { ...REAL_CLIENT, ...evidence });
  assert.deepEqual(byConntrack(SERVER, 2), { ...REAL_SERVER, ...evidence });
});

test("a server's name stays, and so does a span of a connection that nothing translates", () => {
  const named = { ...CLIENT, "server.address": "orders.shop.svc" };
  const rewritten = byConntrack(named, 3);
  assert.equal(rewritten["server.address"], "orders.shop.svc");
  assert.equal(rewritten["server.port"], 80);
  assert.equal(rewritten["network.peer.address"], "10.201.2.2");
  const direct = { ...CLIENT, "network.local.port": 1 };
  assert.deepEqual(byConntrack(direct, 3), direct);
  const { "network.local.port": _, ...withoutPort } = CLIENT;
  assert.deepEqual(byConntrack(withoutPort, 3), withoutPort);
});

test("a span that does not say TCP or UDP is told where only one of them was translated", () => {
  const udp = entryOf({
    original: { from: ["10.201.1.2", 34_510], to: ["10.201.9.9", 80] },
    reply: { from: ["10.201.2.7", 53], to: ["10.201.1.2", 34_510] },
    protocol: 17,
  });
  const table = new NatTable(100);
  table.put(udp, ALWAYS);
  assert.deepEqual(byConntrack(CLIENT, 3, table), CLIENT);
  const said = { ...CLIENT, "network.transport": "udp" };
  assert.equal(byConntrack(said, 3, table)["network.peer.address"], "10.201.2.7");
  const tcp = { ...CLIENT, "network.transport": "tcp" };
  assert.equal(byConntrack(tcp, 3, table)["network.peer.address"], "10.201.2.2");
});

test("what another agent wrote as the original stays the original", () => {
  const before = { ...CLIENT, "nat.original.network.peer.address": "192.0.2.1" };
  assert.equal(byConntrack(before, 3)["nat.original.network.peer.address"], "192.0.2.1");
});

test("two answers are none", () => {
  const table = new NatTable(100);
  const other = entryOf({
    original: { from: ["10.201.1.2", 34_510], to: ["10.201.9.9", 80] },
    reply: { from: ["10.201.2.3", 18_092], to: ["10.201.2.1", 28_647] },
    source: 2,
  });
  table.put(other, ALWAYS);
  assert.deepEqual(byConntrack(CLIENT, 3, table), CLIENT);
});

/** Through the processor, conntrack off. */
async function byPairs(batches: readonly (readonly SpanJson[])[], wait: string): Promise<Values[]> {
  const { telemetry } = createMemoryTelemetry();
  const processor = factory.create(
    {
      ...{ id: "nat_rewrite", telemetry, buildInfo: { version: "0" } },
      signal: "traces",
      pipelineId: "traces",
    },
    configSchema.parse({ conntrack: { enabled: false }, pairs: { wait } }),
  );
  const input = new Subject<Batch>();
  const out: Uint8Array[] = [];
  processor.process(input).subscribe((batch) => out.push(...batch.chunks));
  for (const batch of batches) input.next(spans(batch));
  input.complete();
  await processor.shutdown(AbortSignal.timeout(1000));
  return attributesIn(decoded("traces", out));
}

const CLIENT_SPAN: SpanJson = { kind: 3, spanId: "00000000000000c1", attributes: CLIENT };
const SERVER_SPAN: SpanJson = {
  kind: 2,
  spanId: "00000000000000f1",
  parentSpanId: "00000000000000c1",
  attributes: { ...SERVER, "stitch.evidence": "byte_name" },
};

test("by pairs each end tells the other who it is, also from batch to batch", async () => {
  const evidence = { "nat.evidence": "byte_name" };
  const client = { ...REAL_CLIENT, ...evidence };
  const server = { ...REAL_SERVER, "stitch.evidence": "byte_name", ...evidence };
  assert.deepEqual(await byPairs([[CLIENT_SPAN, SERVER_SPAN]], "0s"), [client, server]);
  assert.deepEqual(await byPairs([[CLIENT_SPAN], [SERVER_SPAN]], "50ms"), [client, server]);
});

test("without the byte's name a parent proves no address", async () => {
  const { attributes, ...span } = SERVER_SPAN;
  const other = { ...attributes, "stitch.evidence": "inference" };
  const pair = [CLIENT_SPAN, { ...span, attributes: other }];
  assert.deepEqual(await byPairs([pair], "50ms"), [CLIENT, other]);
});

test("two servers that name one request as theirs are not believed", async () => {
  const second = {
    ...SERVER_SPAN,
    attributes: { ...SERVER_SPAN.attributes, "network.local.address": "10.201.2.9" },
  };
  const [client] = await byPairs([[CLIENT_SPAN, SERVER_SPAN, second]], "50ms");
  assert.deepEqual(client, CLIENT);
});

function points(table: NatTable, attributes: Values): Values {
  const { telemetry } = createMemoryTelemetry();
  const counts = createCounts(telemetry, "nat_rewrite");
  const destinations = new Destinations(table);
  destinations.refresh(NOW - 60 * S, NOW);
  const rewriter = createPointRewriter({ destinations, counts, nowMs: () => NOW / 1e6 });
  const dataPoints = [{ count: "1", sum: 1, attributes: toList(attributes) }];
  const metrics = [{ name: "http.client.request.duration", histogram: { dataPoints } }];
  const { chunks } = request("metrics", { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  const out = chunks.map((chunk) => rewriter.rewrite(chunk));
  return attributesIn(decoded("metrics", out))[0] ?? {};
}

test("a data point names the pod where there is only one, else it stays", () => {
  const asked: Values = { "server.address": "10.201.9.9", "server.port": 80 };
  const table = new NatTable(100);
  table.put(ENTRY, ALWAYS);
  assert.deepEqual(points(table, asked), {
    "server.address": "10.201.2.2",
    "server.port": 18_092,
    "nat.original.server.address": "10.201.9.9",
    "nat.original.server.port": 80,
    "nat.evidence": "conntrack",
  });
  const second = entryOf({
    original: { from: ["10.201.1.2", 34_511], to: ["10.201.9.9", 80] },
    reply: { from: ["10.201.2.3", 18_092], to: ["10.201.2.1", 28_648] },
  });
  table.put(second, ALWAYS);
  assert.deepEqual(points(table, asked), asked);
  table.remove(second, NOW - 61 * S);
  assert.equal(points(table, asked)["server.address"], "10.201.2.2");
});

/** The Service of `CLIENT` with these endpoints. */
function servedBy(...addresses: readonly string[]): ServiceEndpoints {
  const services = new ServiceEndpoints(60_000, () => NOW);
  const port = { name: "", protocol: "TCP" };
  services.changeService(
    {
      ...{ key: "shop/cart", addresses: ["10.201.9.9"] },
      ports: [{ ...port, port: 80, nodePort: 0 }],
    },
    undefined,
  );
  const ports = [{ ...port, port: 18_092 }];
  services.changeSlice({ service: "shop/cart", addresses, ports }, undefined);
  return services;
}

function byKubernetes(services: ServiceEndpoints, attributes: Values, kind: 2 | 3): Values {
  const { telemetry } = createMemoryTelemetry();
  const counts = createCounts(telemetry, "nat_rewrite");
  const rewriter = createSpanRewriter({ table: undefined, pairs: undefined, services, counts });
  const { chunks } = spans([{ kind, attributes }]);
  const out = chunks.map((chunk) => rewriter.rewrite(chunk));
  return attributesIn(decoded("traces", out))[0] ?? {};
}

test("by Kubernetes a client span names the one pod behind a Service's address", () => {
  const evidence = { "nat.evidence": "kubernetes" };
  const one = servedBy("10.201.2.2");
  assert.deepEqual(byKubernetes(one, CLIENT, 3), { ...REAL_CLIENT, ...evidence });
  assert.deepEqual(byKubernetes(one, SERVER, 2), SERVER);
  assert.deepEqual(byKubernetes(servedBy("10.201.2.2", "10.201.2.3"), CLIENT, 3), CLIENT);
  assert.deepEqual(byKubernetes(servedBy(), CLIENT, 3), CLIENT);
});

test("a data point of a Service's address names the one pod behind it", () => {
  const { telemetry } = createMemoryTelemetry();
  const rewriter = createPointRewriter({
    ...{ destinations: undefined, services: servedBy("10.201.2.2"), nowMs: () => NOW / 1e6 },
    counts: createCounts(telemetry, "nat_rewrite"),
  });
  const attributes = toList({ "server.address": "10.201.9.9", "server.port": 80 });
  const metrics = [{ name: "x", histogram: { dataPoints: [{ count: "1", attributes }] } }];
  const { chunks } = request("metrics", { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  const out = chunks.map((chunk) => rewriter.rewrite(chunk));
  assert.deepEqual(attributesIn(decoded("metrics", out))[0], {
    "server.address": "10.201.2.2",
    "server.port": 18_092,
    "nat.original.server.address": "10.201.9.9",
    "nat.original.server.port": 80,
    "nat.evidence": "kubernetes",
  });
});
