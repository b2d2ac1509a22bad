// SPDX-License-Identifier: Apache-2.0
// A real Prometheus scrapes our exporter and takes our remote write.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const BIN = new URL("../../bin/backstitch", import.meta.url).pathname;
const TRACE = "0af7651916cd43dd8448eb211c80319c";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

interface Ports {
  readonly otlp: number;
  readonly scraped: number;
  readonly prometheus: number;
}

async function startPrometheus(folder: string, ports: Ports): Promise<RunningProcess> {
  const file = join(folder, "prometheus.yml");
  writeFileSync(
    file,
    `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: backstitch
    honor_labels: true
    static_configs: [{targets: ["127.0.0.1:${ports.scraped}"], labels: {how: scraped}}]
`,
  );
  return await startProcess({
    command: "prometheus",
    args: [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${ports.prometheus}`,
      "--web.enable-remote-write-receiver",
      "--enable-feature=native-histograms,exemplar-storage",
    ],
    readyPort: ports.prometheus,
    readyTimeoutMs: 60_000,
  });
}

async function startAgent(folder: string, ports: Ports): Promise<RunningProcess> {
  const file = join(folder, "agent.yaml");
  writeFileSync(
    file,
    `receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:${ports.otlp}"}}}
  prometheus:
    config:
      scrape_configs:
        - job_name: itself
          scrape_interval: 1s
          static_configs: [{targets: ["127.0.0.1:${ports.prometheus}"]}]
exporters:
  prometheus: {endpoint: "127.0.0.1:${ports.scraped}", enable_open_metrics: true}
  prometheusremotewrite:
    endpoint: http://127.0.0.1:${ports.prometheus}/api/v1/write
    external_labels: {how: written}
    send_metadata: true
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [otlp, prometheus], exporters: [prometheus, prometheusremotewrite]}}
`,
  );
  const args = ["--config", file];
  return await startProcess({ command: BIN, args, readyOutput: /Everything is ready/ });
}

function metrics(timeMs: number): object {
  const timeUnixNano = `${timeMs}000000`;
  const startTimeUnixNano = `${timeMs - 60_000}000000`;
  const times = { timeUnixNano, startTimeUnixNano };
  const exemplars = [{ timeUnixNano, asInt: "1", traceId: TRACE, spanId: "b7ad6b7169203331" }];
  const attributes = [{ key: "http.route", value: { stringValue: 'a "quoted" \n line' } }];
  const cumulative = { aggregationTemporality: 2 };
  return {
    resourceMetrics: [
      {
        resource: {
          attributes: [
            { key: "service.name", value: { stringValue: "shop" } },
            { key: "host.name", value: { stringValue: "h1" } },
          ],
        },
        scopeMetrics: [
          {
            metrics: [
              {
                ...{ name: "requests", unit: "{request}", description: "Requests." },
                sum: {
                  ...cumulative,
                  isMonotonic: true,
                  dataPoints: [{ ...times, asInt: "42", attributes, exemplars }],
                },
              },
              {
                ...{ name: "duration", unit: "s" },
                histogram: {
                  ...cumulative,
                  dataPoints: [
                    {
                      ...{ ...times, count: "5", sum: 1.5 },
                      ...{ explicitBounds: [0.1, 1], bucketCounts: ["2", "2", "1"] },
                    },
                  ],
                },
              },
              {
                ...{ name: "sizes", unit: "By" },
                exponentialHistogram: {
                  ...cumulative,
                  dataPoints: [
                    {
                      ...{ ...times, count: "6", sum: 20, scale: 0, zeroCount: "1" },
                      // (1, 2], (2, 4] and (4, 8]
                      positive: { offset: 0, bucketCounts: ["1", "3", "1"] },
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
  };
}

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly histogram?: readonly [number, { readonly count: string; readonly buckets: unknown }];
}

async function query(ports: Ports, expression: string): Promise<readonly Result[]> {
  const url = new URL(`http://127.0.0.1:${ports.prometheus}/api/v1/query`);
  url.searchParams.set("query", expression);
  const answer: unknown = await (await fetch(url)).json();
  return unsafeData(answer).result;
}

/** Relies on: Prometheus' API answers `{data: {result: […]}}`. */
function unsafeData(answer: unknown): { readonly result: readonly Result[] } {
  return (answer as { readonly data: { readonly result: readonly Result[] } }).data;
}

test("a real Prometheus has the same values scraped and written", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-prometheus-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const ports: Ports = {
    ...{ otlp: await freePort(), scraped: await freePort(), prometheus: await freePort() },
  };
  await using _prometheus = await startPrometheus(folder, ports);
  await using agent = await startAgent(folder, ports);
  const response = await fetch(`http://127.0.0.1:${ports.otlp}/v1/metrics`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(metrics(Date.now())),
  });
  assert.equal(response.status, 200);

  const both = async (expression: string): Promise<readonly Result[]> =>
    await eventually(
      () => query(ports, expression),
      (results) => new Set(results.map(({ metric }) => metric["how"])).size === 2,
    );
  for (const { metric, value } of await both("requests_total")) {
    assert.equal(value?.[1], "42", agent.output());
    assert.equal(metric["job"], "shop");
    assert.equal(metric["http_route"], 'a "quoted" \n line');
  }
  const quantiles = await both("duration_seconds_bucket");
  assert.equal(quantiles.length, 6);
  for (const { value } of await both('duration_seconds_bucket{le="1"}')) {
    assert.equal(value?.[1], "4");
  }
  for (const { metric } of await both('target_info{job="shop"}'))
    assert.equal(metric["host_name"], "h1");

  // What our receiver scraped of Prometheus itself came back to it.
  const itself = await both('prometheus_build_info{job="itself"}');
  assert.ok(itself.every(({ value }) => value?.[1] === "1"));
  assert.ok(
    (await both('prometheus_http_request_duration_seconds_bucket{job="itself"}')).length > 2,
  );
  await both('up{job="itself"} == 1');

  const [native] = await query(ports, 'sizes_bytes{how="written"}');
  assert.equal(native?.histogram?.[1].count, "6");
  assert.deepEqual(native?.histogram?.[1].buckets, [
    [3, "-0", "0", "1"],
    [0, "1", "2", "1"],
    [0, "2", "4", "3"],
    [0, "4", "8", "1"],
  ]);
  const url = `http://127.0.0.1:${ports.prometheus}/api/v1/query_exemplars?query=requests_total&start=0&end=99999999999`;
  const exemplars = await (await fetch(url)).text();
  assert.ok(exemplars.includes(TRACE), exemplars);
  // Of what it scraped; OpenMetrics names a counter without its suffix.
  const metadata = `http://127.0.0.1:${ports.prometheus}/api/v1/metadata?metric=requests`;
  assert.match(await (await fetch(metadata)).text(), /"type":"counter"/);
});
