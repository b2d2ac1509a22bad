// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { of } from "rxjs";
import { configSchema as otlpReceiverSchema } from "../../receivers/otlp/config.ts";
import { OtlpReceiver } from "../../receivers/otlp/otlp.ts";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { forEachSpan, textIn } from "../../src/pdata/span-view.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { HashRing } from "./hash-ring.ts";
import { LoadBalancing } from "./load-balancing.ts";
import { createResolver } from "./resolver.ts";

const HOST = { extension: () => undefined, fatal: () => undefined };
const BUILD = { buildInfo: { version: "1" } };

interface Seen {
  readonly traceId: string;
  readonly name: string;
  readonly isJoint: boolean;
}

/** A gateway's receiver on a port of the system's. */
async function backend(context: TestContext): Promise<{ endpoint: string; seen: Seen[] }> {
  const { telemetry } = createMemoryTelemetry();
  const config = otlpReceiverSchema.parse({ protocols: { grpc: { endpoint: "127.0.0.1:0" } } });
  const receiver = new OtlpReceiver(
    { id: "otlp", telemetry, ...BUILD, signals: new Set(["traces"]), demand: of(true) },
    config,
  );
  const seen: Seen[] = [];
  receiver.output("traces").subscribe((batch) => {
    for (const chunk of batch.chunks) {
      forEachSpan(chunk, (span, { scope }) => {
        const isJoint = textIn(scope, 1) === "stitch.joints";
        seen.push({ traceId: span.traceId, name: span.name, isJoint });
      });
    }
    batch.receipt?.settle({ kind: "accepted" });
  });
  await receiver.start(HOST);
  context.after(() => receiver.shutdown(AbortSignal.timeout(1000)));
  return { endpoint: `127.0.0.1:${receiver.ports.grpc}`, seen };
}

async function balance(
  context: TestContext,
  options: { readonly endpoints: readonly string[]; readonly key: string },
): Promise<{ exporter: LoadBalancing; memory: MemoryTelemetry }> {
  const memory = createMemoryTelemetry();
  const config = configSchema.parse({
    routing_key: options.key,
    protocol: { otlp: { tls: { insecure: true }, sending_queue: { wait_for_result: true } } },
    resolver: { static: { hostnames: options.endpoints } },
  });
  const settings = { id: "load_balancing", telemetry: memory.telemetry, ...BUILD };
  const exporter = new LoadBalancing({ ...settings, signal: "traces" }, config);
  await exporter.start(HOST);
  context.after(() => exporter.shutdown(AbortSignal.timeout(1000)));
  return { exporter, memory };
}

const TRACES = Array.from({ length: 60 }, (_, n) =>
  (n * 7919 + 4096).toString(16).padStart(32, "a"),
);

function batch(traceIds: readonly string[], service = "shop"): Batch {
  const spans = traceIds.flatMap((traceId) => [
    { traceId, spanId: "1".repeat(16), name: "server", kind: 2 },
    { traceId, spanId: traceId.slice(16), name: "client", kind: 3, parentSpanId: "1".repeat(16) },
  ]);
  const resource = { attributes: [{ key: "service.name", value: { stringValue: service } }] };
  const body = { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

function send(exporter: LoadBalancing, one: Batch): Promise<Outcome> {
  return new Promise((resolve) => {
    assert.ok(exporter.accept({ ...one, receipt: { settle: resolve } }));
  });
}

test("the spans of a trace go to one backend, whichever agent sends them, and all are used", async (context) => {
  const backends = [await backend(context), await backend(context), await backend(context)];
  const endpoints = backends.map(({ endpoint }) => endpoint);
  const one = await balance(context, { endpoints, key: "traceID" });
  const other = await balance(context, { endpoints: endpoints.toReversed(), key: "traceID" });
  assert.deepEqual(await send(one.exporter, batch(TRACES)), { kind: "accepted" });
  assert.deepEqual(await send(other.exporter, batch(TRACES)), { kind: "accepted" });
  const places = new Map<string, number>();
  for (const [index, { seen }] of backends.entries()) {
    assert.ok(seen.length > 0);
    for (const { traceId } of seen) {
      assert.equal(places.get(traceId) ?? index, index);
      places.set(traceId, index);
    }
  }
  assert.equal(places.size, TRACES.length);
  const total = backends.reduce((sum, { seen }) => sum + seen.length, 0);
  assert.equal(total, 2 * 2 * TRACES.length);
});

test("with stitch every backend learns the client spans of the others' traces", async (context) => {
  const backends = [await backend(context), await backend(context)];
  const endpoints = backends.map(({ endpoint }) => endpoint);
  const { exporter } = await balance(context, { endpoints, key: "stitch" });
  assert.deepEqual(await send(exporter, batch(TRACES)), { kind: "accepted" });
  for (const { seen } of backends) {
    const own = new Set(seen.filter(({ isJoint }) => !isJoint).map(({ traceId }) => traceId));
    const heard = seen.filter(({ isJoint }) => isJoint).map(({ traceId }) => traceId);
    assert.deepEqual([...own, ...heard].sort(), [...TRACES].sort());
    assert.ok(own.size > 0 && heard.length > 0);
  }
});

test("by service a resource stays whole", async (context) => {
  const backends = [await backend(context), await backend(context)];
  const endpoints = backends.map(({ endpoint }) => endpoint);
  const { exporter } = await balance(context, { endpoints, key: "service" });
  for (const service of ["cart", "shop", "stock"]) {
    const before = backends.map(({ seen }) => seen.length);
    await send(exporter, batch(TRACES, service));
    const grown = backends.map(({ seen }, index) => seen.length - (before[index] ?? 0));
    assert.deepEqual(
      grown.toSorted((a, b) => a - b),
      [0, 2 * TRACES.length],
    );
  }
});

test("a backend that comes or goes moves only its share", () => {
  const keys = Array.from({ length: 10_000 }, (_, n) => `key-${n}`);
  const before = new HashRing(["a:1", "b:1", "c:1", "d:1"]);
  const after = new HashRing(["d:1", "c:1", "a:1"]);
  let moved = 0;
  for (const key of keys) {
    const from = before.endpoints[before.ownerOf(key)];
    const to = after.endpoints[after.ownerOf(key)];
    if (from === to) continue;
    assert.equal(from, "b:1");
    moved++;
  }
  assert.ok(moved > 1500 && moved < 3500, `${moved} of 10000 moved`);
  assert.equal(new HashRing([]).ownerOf("x"), -1);
});

test("addresses are looked up again; a failure leaves what was known", async () => {
  const memory = createMemoryTelemetry();
  const answers: (readonly { address: string; family: number }[] | Error)[] = [
    [{ address: "10.0.0.1", family: 4 }],
    new Error("SERVFAIL"),
    [
      { address: "10.0.0.1", family: 4 },
      { address: "fd00::2", family: 6 },
    ],
  ];
  const { resolver: config } = configSchema.parse({
    resolver: { dns: { hostname: "gateways.example", interval: "100ms" } },
  });
  const resolver = createResolver(config, memory.telemetry, "load_balancing", async () => {
    const answer = answers.shift() ?? [];
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const seen: (readonly string[])[] = [];
  await resolver.start((endpoints) => seen.push(endpoints));
  await eventually(
    async () => seen.length,
    (length) => length === 2,
  );
  resolver.stop();
  assert.deepEqual(seen, [["10.0.0.1:4317"], ["10.0.0.1:4317", "[fd00::2]:4317"]]);
  const failures = 'backstitch_load_balancing_resolver_failures{exporter="load_balancing"}';
  assert.equal(await memory.value(failures), 1);
});

test("options that cannot work are refused with the reason", () => {
  const message = (input: unknown): string =>
    configSchema
      .safeParse(input)
      .error?.issues.map((issue) => issue.message)
      .join() ?? "";
  assert.match(message({ resolver: {} }), /exactly one resolver/);
  const resolver = { static: { hostnames: ["a"] } };
  assert.match(message({ resolver, protocol: { otlp: { endpoint: "x:1" } } }), /Leave it out/);
  assert.match(message({ resolver, protocol: { otlp: { timout: "1s" } } }), /timout/);
  assert.equal(message({ resolver }), "");
});
