// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { FACTORIES } from "../../registry.ts";
import { type Needs, needsOf } from "./needs.ts";

function needs(yaml: string): Needs {
  const { config } = loadConfig({
    uris: [`yaml:${yaml}`],
    sets: [],
    factories: FACTORIES,
    env: {},
    readFile: () => "",
    readUrl: () => "",
  });
  return needsOf(config);
}

test("what pipelines and the service use counts, the rest does not", () => {
  const found = needs(`
receivers:
  ebpf_l7: {hooks: sock, ring_size: 1MiB}
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:1"}, http: {}}}
  otlp/unused: {protocols: {grpc: {endpoint: "127.0.0.1:2"}}}
exporters:
  otlp_grpc: {endpoint: "http://backend:4000"}
  otlp_http: {endpoint: "https://backend/x"}
extensions:
  discovery: {targets: [{container: "shop-*"}]}
  health_check: {endpoint: "[::1]:13"}
service:
  extensions: [discovery, health_check]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [ebpf_l7, otlp], exporters: [otlp_grpc, otlp_http]}}`);
  assert.deepEqual([...found.types].sort(), [
    "discovery",
    "ebpf_l7",
    "health_check",
    "otlp",
    "otlp_grpc",
    "otlp_http",
  ]);
  assert.equal(found.hooks, "sock");
  assert.equal(found.ringBytes, 1024 * 1024);
  assert.equal(found.usesContainers, true);
  assert.deepEqual(
    found.listens.map(({ owner, host, port }) => `${owner} ${host} ${port}`),
    [
      "receivers::otlp 127.0.0.1 1",
      "receivers::otlp localhost 4318",
      "extensions::health_check ::1 13",
    ],
  );
  assert.deepEqual(
    found.connects.map(({ owner, host, port }) => `${owner} ${host} ${port}`),
    ["exporters::otlp_grpc backend 4000", "exporters::otlp_http backend 443"],
  );
});

test("the agent's own metrics have a port unless they are off", () => {
  const text = (level: string): string => `
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters: {nop: {}}
service:
  telemetry: {metrics: {level: ${level}}}
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}`;
  const owners = (level: string): readonly string[] =>
    needs(text(level)).listens.map((each) => each.owner);
  assert.deepEqual(owners("none"), ["receivers::otlp"]);
  assert.deepEqual(owners("normal"), ["receivers::otlp", "service::telemetry::metrics"]);
});
