// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { type Jaeger, startJaeger } from "../support/jaeger.ts";
import { CHAIN_SPANS, startNetworkChain } from "../support/network-chain.ts";

const REQUESTS = 20;

const TRANSPORTS = [
  {
    name: "gRPC",
    exporter: (jaeger: Jaeger) =>
      `otlp_grpc: {endpoint: "${jaeger.otlpGrpcEndpoint}", tls: {insecure: true}}`,
  },
  {
    name: "HTTP",
    exporter: (jaeger: Jaeger) => `otlp_http: {endpoint: "${jaeger.otlpHttpEndpoint}"}`,
  },
] as const;

async function assertTracesArrive(exporter: (jaeger: Jaeger) => string): Promise<void> {
  await using jaeger = await startJaeger();
  await using chain = await startNetworkChain();
  const targets = Object.entries(chain.services).map(
    ([name, { pid }]) => `{pids: [${pid}], name: ${name}}`,
  );
  const yaml = exporter(jaeger);
  await using agent = await startTestAgent({
    targets: `[${targets.join(", ")}]`,
    file: false,
    exporters: { yaml, ids: [yaml.slice(0, yaml.indexOf(":"))] },
  });
  await chain.load({ requests: REQUESTS, concurrency: 2, paths: ["/order/{id}"] });
  const traces = await eventually(
    async () => await jaeger.traces("nginx"),
    (found) =>
      found.length >= REQUESTS && found.every((trace) => trace.length >= CHAIN_SPANS.length),
  );
  assert.equal(traces.length, REQUESTS, agent.process.output());
  for (const trace of traces) {
    assert.equal(trace.length, CHAIN_SPANS.length);
    assert.deepEqual(
      trace.flatMap((span) => span.warnings),
      [],
    );
    assert.equal(trace.filter((span) => span.parentSpanId === "").length, 1);
  }
  const services = (await jaeger.services()).filter((name) => !name.startsWith("jaeger"));
  assert.deepEqual(services, ["nginx", "orders", "prices", "stock"]);
}

for (const { name, exporter } of TRANSPORTS) {
  test(`a real Jaeger shows the chain's traces, sent over ${name}, with all services`, async () => {
    await assertTracesArrive(exporter);
  });
}
