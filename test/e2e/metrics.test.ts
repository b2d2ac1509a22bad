// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { runLoad } from "../support/load.ts";
import { type HistogramPoint, readHistograms } from "../support/otlp-metrics-json.ts";
import { startProcess } from "../support/process.ts";
import { buildStock, orders, stock } from "../support/services.ts";

/** Requests by path and status, of which each gives one measurement on either side of each call. */
const KINDS = [
  { path: "/order/{id}", requests: 30, status: 200, called: "/stock/{id}" },
  { path: "/fail/{id}", requests: 12, status: 500, called: "/fail/{id}" },
  { path: "/empty/{id}", requests: 7, status: 204, called: "/empty/{id}" },
  { path: "/unchanged/{id}", requests: 5, status: 304, called: "/unchanged/{id}" },
  { path: "/chunked/{id}", requests: 3, status: 200, called: "/chunked/{id}" },
] as const;
const REQUESTS = KINDS.reduce((sum, { requests }) => sum + requests, 0);
/** Advice of the HTTP metric conventions, seconds. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The last point of each series: cumulative, so it holds all. */
function lastPoints(points: readonly HistogramPoint[]): readonly HistogramPoint[] {
  const last = new Map<string, HistogramPoint>();
  for (const point of points) {
    const labels = [...point.attributes].map(([key, value]) => `${key}=${String(value)}`).sort();
    last.set([point.service, point.metric, ...labels].join(" "), point);
  }
  return [...last.values()];
}

/** Counts by service, metric, route and status. */
function countsOf(points: readonly HistogramPoint[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { service, metric, attributes, count } of points) {
    const route = String(attributes.get("http.route") ?? "-");
    const status = String(attributes.get("http.response.status_code") ?? "-");
    const key = [service, metric, route, status].join(" ");
    counts[key] = (counts[key] ?? 0) + Number(count);
  }
  return counts;
}

function expectedCounts(): Record<string, number> {
  const counts: Record<string, number> = {};
  const add = (key: string, count: number): void => {
    counts[key] = (counts[key] ?? 0) + count;
  };
  for (const { path, called, status, requests } of KINDS) {
    add(`front http.server.request.duration ${path} ${status}`, requests);
    add(`front http.client.request.duration - ${status}`, requests);
    add(`back http.server.request.duration ${called} ${status}`, requests);
  }
  return counts;
}

test("duration histograms count every request, by route and status, on both sides", async () => {
  const folder = mkdtempSync(join(tmpdir(), "metrics-"));
  const file = join(folder, "metrics.jsonl");
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const binary = await buildStock();
  await using back = await startProcess(stock({ listen: "127.0.0.1:0" }, binary));
  const downstream = [`http://127.0.0.1:${back.port}/stock`];
  await using front = await startProcess(orders({ listen: "127.0.0.1:0", downstream }));
  await using agent = await startTestAgent({
    targets: `[{pids: ${front.pid}, name: front}, {pids: ${back.pid}, name: back}]`,
    capture: "{metrics_interval: 300ms}",
    exporters: { yaml: `file/metrics: {path: ${file}}`, ids: [] },
    pipelines: "metrics: {receivers: [ebpf_l7], exporters: [file/metrics]}",
  });
  let firstId = 1;
  const startMs = performance.now();
  for (const { path, requests } of KINDS) {
    await runLoad({
      ...{ host: "127.0.0.1", port: front.port, requests, concurrency: 4, paths: [path], firstId },
    });
    firstId += requests;
  }
  const loadSeconds = (performance.now() - startMs) / 1_000;
  const points = await eventually(
    async () => lastPoints(readHistograms(file)),
    (found) => found.reduce((sum, { count }) => sum + Number(count), 0) >= REQUESTS * 3,
  );
  assert.deepEqual(countsOf(points), expectedCounts(), agent.process.output());
  for (const point of points) {
    assert.equal(point.unit, "s");
    assert.equal(point.temporality, 2);
    assert.equal(point.attributes.get("http.request.method"), "GET");
    assert.deepEqual(point.bounds, BOUNDS);
    assert.equal(point.bucketCounts.length, BOUNDS.length + 1);
    assert.equal(
      point.bucketCounts.reduce((sum, count) => sum + count, 0n),
      point.count,
    );
    assert.ok(point.sum > 0 && point.sum < loadSeconds * 4, `sum ${point.sum} s`);
    assert.ok(point.startNs > 0n && point.startNs < point.timeNs);
    const isError = point.attributes.get("http.response.status_code") === 500n;
    assert.equal(point.attributes.get("error.type"), isError ? "500" : undefined);
  }
  // The same exchanges as spans.
  const spans = await agent.spansWhen(REQUESTS * 3);
  assert.equal(spans.length, REQUESTS * 3);
});
