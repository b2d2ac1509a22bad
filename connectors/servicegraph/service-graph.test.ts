// SPDX-License-Identifier: Apache-2.0
// Expected values: the Collector's README of the connector and its conventions for labels.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Subject } from "rxjs";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { ServiceGraph } from "./service-graph.ts";

const CLIENT = 3;
const SERVER = 2;
const PRODUCER = 4;
const CONSUMER = 5;
const TRACE = "0af7651916cd43dd8448eb211c80319c";

interface Given {
  readonly service: string;
  readonly kind: number;
  readonly id?: string;
  readonly parent?: string;
  readonly ms?: number;
  readonly isError?: boolean;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly resource?: Readonly<Record<string, string>>;
  readonly link?: string;
}

const id = (digit: string): string => digit.repeat(16);
const pairs = (record: Readonly<Record<string, string>>): object[] =>
  Object.entries(record).map(([key, stringValue]) => ({ key, value: { stringValue } }));

function resourceSpans(given: Given): object {
  const span = {
    traceId: TRACE,
    spanId: id(given.id ?? "f"),
    ...(given.parent === undefined ? {} : { parentSpanId: id(given.parent) }),
    kind: given.kind,
    startTimeUnixNano: "1700000000000000000",
    endTimeUnixNano: String(1_700_000_000_000_000_000n + BigInt((given.ms ?? 1) * 1e6)),
    attributes: pairs(given.attributes ?? {}),
    ...(given.isError === true ? { status: { code: 2 } } : {}),
    ...(given.link === undefined ? {} : { links: [{ traceId: TRACE, spanId: id(given.link) }] }),
  };
  const resource = pairs({
    ...(given.service === "" ? {} : { "service.name": given.service }),
    ...given.resource,
  });
  return { resource: { attributes: resource }, scopeSpans: [{ spans: [span] }] };
}

interface Point {
  readonly value: number;
  readonly sum?: number;
  readonly buckets?: readonly number[];
}

/** A connector whose time is set by hand. */
class Bench {
  nowMs = 1_700_000_100_000;
  readonly #input = new Subject<Batch>();
  readonly #out: Batch[] = [];
  readonly #connector: ServiceGraph;
  readonly #value: (name: string) => Promise<number | undefined>;

  constructor(options: object = {}) {
    const { telemetry, value } = createMemoryTelemetry();
    this.#value = value;
    const config = configSchema.parse(options);
    const settings = { id: "servicegraph", telemetry, buildInfo: { version: "0" } };
    const pair = { from: "traces", to: "metrics" } as const;
    this.#connector = new ServiceGraph({ ...settings, ...pair }, config, () => this.nowMs);
    this.#connector.connect(this.#input).subscribe((batch) => this.#out.push(batch));
  }

  give(...spans: readonly Given[]): void {
    const encoded = fromOtlpJson(
      REQUESTS.traces.request,
      JSON.stringify({ resourceSpans: spans.map(resourceSpans) }),
    );
    assert.ok(encoded.ok);
    const { bytes } = encoded;
    this.#input.next({
      ...{ signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length },
    });
  }

  later(ms: number): void {
    this.nowMs += ms;
    this.#connector.expire();
    this.#connector.forget();
  }

  async count(name: string): Promise<number | undefined> {
    return await this.#value(`otelcol_connector_servicegraph_${name}{connector="servicegraph"}`);
  }

  /** Of the newest data: value by metric and labels. */
  read(): ReadonlyMap<string, Point> {
    this.#connector.flush();
    const points = new Map<string, Point>();
    const batch = this.#out.at(-1);
    if (batch === undefined) return points;
    const json = toOtlpJson(REQUESTS.metrics.request, Buffer.concat(batch.chunks));
    assert.ok(json.ok);
    const [scope] = JSON.parse(json.json).resourceMetrics[0].scopeMetrics;
    assert.equal(scope.scope.name, "traces_service_graph");
    for (const { name, unit, sum, histogram, exponentialHistogram } of scope.metrics) {
      const data = sum ?? histogram ?? exponentialHistogram;
      assert.equal(data.aggregationTemporality, 2);
      assert.equal(unit, sum === undefined ? "s" : undefined);
      if (sum !== undefined) assert.equal(sum.isMonotonic, true);
      for (const point of data.dataPoints) {
        const labels = point.attributes
          .map((one: { key: string; value: { stringValue: string } }) => one.value.stringValue)
          .join("|");
        const value = Number(point.asInt ?? point.count);
        points.set(`${name.replace("traces_service_graph_request_", "")} ${labels}`, {
          value,
          ...(point.sum === undefined ? {} : { sum: point.sum }),
          ...(point.bucketCounts === undefined ? {} : { buckets: point.bucketCounts.map(Number) }),
        });
      }
    }
    return points;
  }
}

test("a client span and the server span below it are a request between two services, in either order", () => {
  const bench = new Bench({ latency_histogram_buckets: ["2ms", "10ms"] });
  const client: Given = { service: "shop", kind: CLIENT, id: "1", ms: 8 };
  const server: Given = { service: "stock", kind: SERVER, id: "2", parent: "1", ms: 1 };
  bench.give(client);
  bench.give(server);
  bench.give({ ...server, isError: true }, client);
  const points = bench.read();
  assert.deepEqual(Object.fromEntries(points), {
    "total shop|stock|": { value: 2 },
    "failed_total shop|stock|": { value: 1 },
    "server_seconds shop|stock|": { value: 2, sum: 0.002, buckets: [2, 0, 0] },
    "client_seconds shop|stock|": { value: 2, sum: 0.016, buckets: [0, 2, 0] },
  });
});

test("producer and consumer are an edge of a messaging system, by parent or by link", () => {
  const bench = new Bench();
  bench.give({ service: "shop", kind: PRODUCER, id: "1" });
  bench.give({ service: "mail", kind: CONSUMER, id: "2", parent: "1" });
  bench.give({ service: "shop", kind: PRODUCER, id: "3" });
  bench.give({ service: "audit", kind: CONSUMER, id: "4", link: "3" });
  const points = bench.read();
  assert.equal(points.get("total shop|mail|messaging_system")?.value, 1);
  assert.equal(points.get("total shop|audit|messaging_system")?.value, 1);
});

test("a database is a node by its name at once, or by its own service where it is watched", () => {
  const query: Given = {
    ...{ service: "shop", kind: CLIENT, id: "1", ms: 3 },
    attributes: { "db.namespace": "orders" },
  };
  const bench = new Bench();
  bench.give(query);
  assert.equal(bench.read().get("total shop|orders|database")?.value, 1);
  const waiting = new Bench({ wait_for_databases: true });
  waiting.give(query, { ...query, id: "2" });
  waiting.give({ service: "postgres", kind: SERVER, id: "3", parent: "1" });
  waiting.later(2001);
  assert.equal(waiting.read().get("total shop|postgres|database")?.value, 1);
  assert.equal(waiting.read().get("total shop|orders|database")?.value, 1);
});

test("an end that sends no span is a virtual node: a service's name before its address", async () => {
  const bench = new Bench({ virtual_node_extra_label: true });
  const address = { "server.address": "10.0.0.7" };
  bench.give({ service: "shop", kind: CLIENT, id: "1", attributes: address });
  bench.give({
    ...{ service: "shop", kind: CLIENT, id: "2" },
    attributes: { ...address, "service.peer.name": "stock" },
  });
  bench.give({ service: "shop", kind: CLIENT, id: "3" });
  bench.give({ service: "front", kind: SERVER, id: "4" });
  bench.give({ service: "lost", kind: SERVER, id: "5", parent: "9" });
  assert.equal(bench.read().get("total shop|10.0.0.7|virtual_node|server"), undefined);
  bench.later(2001);
  const points = bench.read();
  assert.equal(points.get("total shop|10.0.0.7|virtual_node|server")?.value, 1);
  assert.equal(points.get("total shop|stock|virtual_node|server")?.value, 1);
  assert.equal(points.get("total shop|unknown|virtual_node|server")?.value, 1);
  assert.equal(points.get("total user|front|virtual_node|client")?.value, 1);
  assert.equal([...points.keys()].filter((key) => key.startsWith("total")).length, 4);
  assert.equal(await bench.count("expired_edges"), 5);
  assert.equal(await bench.count("unpaired_spans"), 1);
  assert.equal(await bench.count("total_edges"), 4);
});

test("dimensions are labels of the end that they come from", () => {
  const bench = new Bench({ dimensions: ["k8s.namespace.name", "http.route"] });
  bench.give(
    {
      ...{ service: "shop", kind: CLIENT, id: "1" },
      resource: { "k8s.namespace.name": "front" },
    },
    {
      ...{ service: "stock", kind: SERVER, id: "2", parent: "1" },
      ...{ resource: { "k8s.namespace.name": "back" }, attributes: { "http.route": "/items" } },
    },
  );
  assert.equal(bench.read().get("total shop|stock||front|back|/items")?.value, 1);
});

test("the store has room for max_items; what there is no room for is counted", async () => {
  const bench = new Bench({ store: { max_items: 2, ttl: "1s" } });
  for (const digit of ["1", "2", "3"]) bench.give({ service: "shop", kind: CLIENT, id: digit });
  assert.equal(await bench.count("dropped_spans"), 1);
  bench.nowMs += 1001;
  bench.give({ service: "shop", kind: CLIENT, id: "4" });
  assert.equal(await bench.count("dropped_spans"), 1);
  assert.equal(await bench.count("expired_edges"), 2);
});

test("spans of no service and of other kinds are left out", () => {
  const bench = new Bench();
  bench.give({ service: "", kind: CLIENT, id: "1" }, { service: "shop", kind: 1, id: "2" });
  bench.later(5000);
  assert.equal(bench.read().size, 0);
});

test("series that nobody adds to for 15 minutes go", () => {
  const bench = new Bench();
  const server: Given = { service: "stock", kind: SERVER, id: "2", parent: "1" };
  bench.give({ service: "shop", kind: CLIENT, id: "1" }, server);
  bench.later(10 * 60_000);
  bench.give({ service: "front", kind: CLIENT, id: "1" }, server);
  bench.later(6 * 60_000);
  assert.deepEqual(
    [...bench.read().keys()].filter((key) => key.startsWith("total")),
    ["total front|stock|"],
  );
});

test("exponential buckets on request", () => {
  const bench = new Bench({ exponential_histogram_max_size: 20 });
  bench.give(
    { service: "shop", kind: CLIENT, id: "1", ms: 4 },
    { service: "stock", kind: SERVER, id: "2", parent: "1", ms: 2 },
  );
  assert.equal(bench.read().get("client_seconds shop|stock|")?.sum, 0.004);
});

test("options that contradict each other are refused", () => {
  const both = { latency_histogram_buckets: ["1ms"], exponential_histogram_max_size: 10 };
  assert.match(configSchema.safeParse(both).error?.issues[0]?.message ?? "", /use either/);
  assert.equal(configSchema.parse({}).store.max_items, 1000);
});
