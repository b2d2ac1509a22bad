// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressText, readAddressText } from "../../src/conntrack/nat-entry.ts";
import { Lookup } from "../../src/conntrack/nat-table.ts";
import { INFORMER_TIMES } from "../../src/kubernetes/informer.ts";
import type { JsonObject } from "../../src/kubernetes/json.ts";
import { ScriptedApi } from "../../src/kubernetes/testing/scripted-api.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { ServiceWatcher } from "./service-watcher.ts";

const NOW_S = 1_700_000_000;
const UDP = 17;
const TCP = 6;

/** As the API gives them (Service v1, EndpointSlice discovery.k8s.io/v1, Node v1). */
function service(more: JsonObject = {}): JsonObject {
  return {
    metadata: { name: "cart", namespace: "shop", uid: "s-1" },
    spec: {
      clusterIP: "10.96.0.10",
      clusterIPs: ["10.96.0.10", "fd00:96::10"],
      ports: [
        { name: "http", port: 80, targetPort: 8080, protocol: "TCP", nodePort: 30_080 },
        { name: "dns", port: 53, protocol: "UDP" },
      ],
      ...more,
    },
    status: { loadBalancer: { ingress: [{ ip: "192.0.2.7" }] } },
  };
}

function slice(addresses: readonly string[], addressType = "IPv4"): JsonObject {
  return {
    metadata: {
      ...{ name: `cart-${addressType}`, namespace: "shop", uid: `e-${addressType}` },
      labels: { "kubernetes.io/service-name": "cart" },
    },
    addressType,
    endpoints: addresses.map((address) => ({
      addresses: [address],
      conditions: { ready: true },
    })),
    ports: [
      { name: "http", port: 8080, protocol: "TCP" },
      { name: "dns", port: 5353, protocol: "UDP" },
    ],
  };
}

const NODE: JsonObject = {
  metadata: { name: "node-a", uid: "n-1" },
  status: {
    addresses: [
      { type: "InternalIP", address: "10.0.0.4" },
      { type: "Hostname", address: "node-a" },
    ],
  },
};

class Bench {
  nowS = NOW_S;
  readonly api: ScriptedApi;
  readonly watcher: ServiceWatcher;

  constructor(api: ScriptedApi) {
    this.api = api;
    const { telemetry } = createMemoryTelemetry();
    const { kubernetes: config } = configSchema.parse({
      kubernetes: { enabled: true, auth_type: "kubeConfig", remember: "60s" },
    });
    this.watcher = new ServiceWatcher(
      { config, telemetry, id: "nat_rewrite", nowMs: () => this.nowS * 1000 },
      {
        surroundings: {
          env: { KUBECONFIG: "config" },
          readFile: () => api.kubeConfig,
          nowMs: () => performance.now(),
        },
        times: { ...INFORMER_TIMES, backOffMinMs: 10, backOffMaxMs: 50 },
      },
    );
  }

  ask(address: string, port: number, atS = this.nowS, protocol = TCP): string {
    const lookup = new Lookup();
    lookup.startNs = atS * 1e9;
    lookup.protocol = protocol;
    const words = new Int32Array(4);
    const bytes = Buffer.from(address);
    assert.ok(readAddressText(bytes, 0, bytes.length, words, 0));
    const resolution = this.watcher.endpoints.resolve(words, 0, port, lookup);
    if (resolution !== "found") return resolution;
    return `${addressText(lookup.real, 0)} ${lookup.realPort}`;
  }

  /** What a span of much later is told: what is heard of last. */
  async until(address: string, port: number, wanted: string): Promise<void> {
    const answer = await eventually(
      async () => this.ask(address, port, this.nowS + 1000),
      (text) => text === wanted,
      30_000,
    );
    assert.equal(answer, wanted);
  }
}

async function start(
  ...objects: readonly (readonly [string, JsonObject])[]
): Promise<Bench & AsyncDisposable> {
  const api = await ScriptedApi.start();
  for (const [resource, object] of objects) api.put(resource, object);
  const bench = new Bench(api);
  bench.watcher.start();
  return Object.assign(bench, {
    [Symbol.asyncDispose]: async () => {
      await bench.watcher.stop();
      await api.stop();
    },
  });
}

const ONE_BACKEND = [
  ["services", service()],
  ["endpointslices", slice(["10.1.0.7"])],
  ["nodes", NODE],
] as const;

test("cluster address, load balancer and NodePort are the one endpoint behind them", async () => {
  await using bench = await start(...ONE_BACKEND, ["endpointslices", slice(["fd00::7"], "IPv6")]);
  await bench.until("10.96.0.10", 80, "10.1.0.7 8080");
  await bench.until("10.0.0.4", 30_080, "10.1.0.7 8080");
  await bench.until("fd00:96::10", 80, "fd00::7 8080");
  assert.equal(bench.ask("192.0.2.7", 80), "10.1.0.7 8080");
  assert.equal(bench.ask("10.96.0.10", 53, NOW_S, UDP), "10.1.0.7 5353");
  assert.equal(bench.ask("10.96.0.10", 53), "none", "the port is UDP's");
  assert.equal(bench.ask("10.96.0.10", 8080), "none");
  assert.equal(bench.ask("10.1.0.7", 8080), "none");
});

test("several endpoints are ambiguous; who answered before is told by time", async () => {
  await using bench = await start(...ONE_BACKEND);
  await bench.until("10.96.0.10", 80, "10.1.0.7 8080");
  bench.nowS += 20;
  bench.api.put("endpointslices", slice(["10.1.0.7", "10.1.0.8"]));
  await bench.until("10.96.0.10", 80, "ambiguous");
  bench.nowS += 20;
  bench.api.put("endpointslices", slice(["10.1.0.8"]));
  await bench.until("10.96.0.10", 80, "10.1.0.8 8080");
  assert.equal(bench.ask("10.96.0.10", 80, NOW_S), "10.1.0.7 8080");
  assert.equal(bench.ask("10.96.0.10", 80, NOW_S + 30), "ambiguous");
  // Where it changes, nobody knows exactly when nodes followed.
  assert.equal(bench.ask("10.96.0.10", 80, NOW_S + 19), "ambiguous");
  assert.equal(bench.ask("10.96.0.10", 80, NOW_S + 50), "10.1.0.8 8080");
});

test("a service that is deleted is remembered for late spans, then forgotten", async () => {
  await using bench = await start(...ONE_BACKEND);
  await bench.until("10.96.0.10", 80, "10.1.0.7 8080");
  bench.nowS += 10;
  bench.api.delete("services", "s-1");
  await bench.until("10.96.0.10", 80, "none");
  assert.equal(bench.ask("10.96.0.10", 80, NOW_S + 5), "10.1.0.7 8080");
  bench.nowS += 61;
  bench.watcher.endpoints.sweep();
  assert.equal(bench.ask("10.96.0.10", 80, NOW_S + 5), "none");
  assert.equal(bench.watcher.endpoints.size, 0);
});

test("a headless service has no address, objects of any shape are no error", async () => {
  const odd: JsonObject = { metadata: { uid: "x" }, spec: { ports: "none", clusterIP: 7 } };
  await using bench = await start(
    ["services", { ...service({ clusterIP: "None", clusterIPs: ["None"] }), status: {} }],
    ["services", odd],
    ["endpointslices", { metadata: { uid: "y", labels: [] }, endpoints: [1], ports: [null] }],
    ["endpointslices", slice(["10.1.0.7"])],
    ["nodes", { metadata: { uid: "z" }, status: [] }],
  );
  await eventually(
    async () => bench.api.watches,
    (watches) => watches === 3,
  );
  assert.equal(bench.watcher.endpoints.size, 0);
});
