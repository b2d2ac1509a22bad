// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import type { AgentView, MetricSample } from "../../src/component/agent-view.ts";
import type { Host } from "../../src/component/component.ts";
import { AgentApi } from "./agent-api.ts";
import { processes } from "./processes.ts";

function sample(
  name: string,
  value: number,
  labels: Readonly<Record<string, string>>,
): MetricSample {
  return { name, kind: "counter", unit: "1", description: "", labels, value };
}

const METRICS = [
  sample("otelcol_exporter_queue_size", 3, { exporter: "store", data_type: "traces" }),
  sample("otelcol_exporter_queue_capacity", 1000, { exporter: "store", data_type: "traces" }),
  sample("otelcol_exporter_sent_spans", 70, { exporter: "store" }),
  sample("otelcol_receiver_refused_spans", 2, { receiver: "otlp", transport: "grpc" }),
  sample("backstitch_store_dropped_spans", 5, { exporter: "store", reason: "disk_full" }),
  sample("backstitch_store_failing", 1, { exporter: "store", reason: "disk_full" }),
  sample("backstitch_ebpf_l7_records_without_payload", 4, { reason: "encrypted" }),
  sample("otelcol_process_uptime", 9, {}),
];

const REFUSED = { name: "TLS of orders (pid 7)", reason: "no known TLS library with symbols" };

function view(extensions: readonly string[] = []): AgentView {
  const pipeline = {
    id: "traces",
    signal: "traces",
    receivers: ["otlp"],
    processors: [],
    exporters: ["store"],
  } as const;
  return {
    pipelines: [pipeline],
    extensions,
    extensionType: (id) => id.split("/")[0],
    refusedProbes: () => [REFUSED],
    metrics: async () => METRICS,
  };
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value).find(([name]) => name === key)?.[1]
    : undefined;
}

test("the agent's pipelines, queues and loss account come from its own metrics", async () => {
  const api = new AgentApi({ view: view(), version: "1", directory: "/nowhere", jaegerUrl: "" });
  const facts = await api.agent();
  assert.deepEqual(member(facts, "pipelines"), view().pipelines);
  assert.deepEqual(member(facts, "queues"), [
    { exporter: "store", dataType: "traces", size: 3, capacity: 1000 },
  ]);
  const probes = member(facts, "probes");
  assert.ok(Array.isArray(probes));
  assert.deepEqual(
    probes.filter((probe: unknown) => member(probe, "attached") === false),
    [{ ...REFUSED, attached: false }],
  );
  const account = member(facts, "account");
  assert.ok(Array.isArray(account));
  const entries = account.map((entry: unknown) => [
    member(entry, "kind"),
    member(entry, "component"),
    member(entry, "meaning"),
    member(entry, "value"),
  ]);
  assert.deepEqual(entries, [
    ["exporter", "store", "held", 3],
    ["exporter", "store", "out", 70],
    ["receiver", "otlp", "lost", 2],
    ["exporter", "store", "lost", 5],
    ["receiver", "ebpf_l7", "lost", 4],
  ]);
});

test("a process that listens is shown with its ports, and whether and why it is watched", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const own = async (host: Host): Promise<unknown> => {
    const rows = member(await processes(host), "processes");
    assert.ok(Array.isArray(rows));
    return rows.find((row: unknown) => member(row, "pid") === process.pid);
  };
  try {
    const unwatched = await own({ extension: () => undefined, fatal: () => undefined });
    assert.deepEqual(member(unwatched, "ports"), [port]);
    assert.deepEqual([member(unwatched, "watched"), member(unwatched, "reason")], [false, "agent"]);
    const selected = [{ pid: process.pid, serviceName: "me", attributes: new Map() }];
    const discovery = {
      start: async () => undefined,
      shutdown: async () => undefined,
      selected: () => selected,
    };
    const watched = await own({
      extension: (id) => (id === "discovery/all" ? discovery : undefined),
      fatal: () => undefined,
      agent: view(["ui", "discovery/all"]),
    });
    assert.deepEqual([member(watched, "watched"), member(watched, "service")], [true, "me"]);
    assert.equal(member(watched, "reason"), "");
  } finally {
    server.close();
  }
});

test("calls that were not read are told by reason", async () => {
  const host = { extension: () => undefined, fatal: () => undefined, agent: view() };
  assert.deepEqual(member(await processes(host), "unseen"), [{ reason: "encrypted", count: 4 }]);
});
