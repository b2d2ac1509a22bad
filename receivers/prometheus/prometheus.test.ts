// SPDX-License-Identifier: Apache-2.0
// To OTLP: opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { BehaviorSubject } from "rxjs";
import { type DecodedMetric, decodeMetrics } from "../../src/prometheus/otlp-metrics.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../../test/support/eventually.ts";
import { configSchema } from "./config.ts";
import { PrometheusReceiver } from "./prometheus.ts";

interface Served {
  readonly port: number;
  readonly headers: IncomingHttpHeaders[];
  answer: (response: ServerResponse) => void;
}

async function serve(context: TestContext, text: string): Promise<Served> {
  const server = createServer((request, response) => {
    served.headers.push(request.headers);
    served.answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const served: Served = { port: address.port, headers: [], answer: (to) => to.end(text) };
  return served;
}

/** Scrapes as `job` says, every 50 ms; gives the metrics of each scrape. */
async function run(
  context: TestContext,
  job: object,
  more: object = {},
): Promise<(readonly DecodedMetric[])[]> {
  const { telemetry } = createMemoryTelemetry();
  const scrape = { job_name: "shop", scrape_interval: "50ms", scrape_timeout: "50ms" };
  const config = configSchema.parse({
    config: { scrape_configs: [{ ...scrape, ...job }] },
    ...more,
  });
  const receiver = new PrometheusReceiver(
    {
      ...{ id: "prometheus", telemetry, buildInfo: { version: "0" } },
      ...{ signals: new Set(["metrics"] as const), demand: new BehaviorSubject(true) },
    },
    config,
  );
  const scrapes: (readonly DecodedMetric[])[] = [];
  receiver.output().subscribe(({ chunks }) => scrapes.push(chunks.flatMap(decodeMetrics)));
  await receiver.start();
  context.after(() => receiver.shutdown());
  return scrapes;
}

/** The first scrape that `isIt`. */
async function scrapeWhere(
  scrapes: readonly (readonly DecodedMetric[])[],
  isIt: (metrics: readonly DecodedMetric[]) => boolean,
): Promise<readonly DecodedMetric[]> {
  const found = await eventually(
    async () => scrapes.find(isIt),
    (one) => one !== undefined,
  );
  assert.ok(found !== undefined, "no such scrape");
  return found;
}

const named = (metrics: readonly DecodedMetric[], name: string): DecodedMetric | undefined =>
  metrics.find((metric) => metric.name === name);

function gaugeOf(metrics: readonly DecodedMetric[], name: string): number | undefined {
  const point = named(metrics, name)?.data.points[0];
  return point !== undefined && "value" in point ? point.value : undefined;
}

const isUp = (metrics: readonly DecodedMetric[]): boolean => gaugeOf(metrics, "up") === 1;

const PAGE = `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",otel_scope_name="lib",otel_scope_version="2"} 7
# TYPE level gauge
level{instance="own"} -1.5
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} 2
wait_seconds_bucket{le="1"} 3
wait_seconds_bucket{le="+Inf"} 5
wait_seconds_sum 4.5
wait_seconds_count 5
# TYPE size summary
size{quantile="0.5"} 3
size_sum 9
size_count 4
# TYPE target_info gauge
target_info{region="eu"} 1
`;

test("counters, gauges, histograms and summaries become OTLP's, with the target's resource", async (context) => {
  const { port } = await serve(context, PAGE);
  const at = `127.0.0.1:${port}`;
  const scrapes = await run(context, { static_configs: [{ targets: [at], labels: { env: "t" } }] });
  const metrics = await scrapeWhere(scrapes, isUp);

  const requests = named(metrics, "requests_total");
  assert.equal(requests?.description, "Requests.");
  assert.deepEqual([requests?.scope.name, requests?.scope.version], ["lib", "2"]);
  assert.deepEqual(
    requests?.resource,
    new Map([
      ["service.name", "shop"],
      ["service.instance.id", at],
      ["server.address", "127.0.0.1"],
      ["server.port", String(port)],
      ["url.scheme", "http"],
      ["env", "t"],
      ["region", "eu"],
    ]),
  );
  assert.ok(requests?.data.kind === "sum" && requests.data.isMonotonic && !requests.data.isDelta);
  const [point] = requests.data.points;
  assert.equal(point?.value, 7);
  assert.deepEqual(point?.attributes, new Map(Object.entries({ code: "200", env: "t" })));
  assert.ok(point !== undefined && point.startNs > 0n && point.startNs <= point.timeNs);

  const level = named(metrics, "level");
  assert.equal(level?.data.kind, "gauge");
  assert.deepEqual(
    level?.data.points[0]?.attributes,
    new Map(Object.entries({ env: "t", exported_instance: "own" })),
  );
  const wait = named(metrics, "wait_seconds")?.data;
  assert.ok(wait?.kind === "histogram");
  const { bounds, buckets, count, sum } = wait.points[0] ?? {};
  assert.deepEqual(
    { bounds, buckets, count, sum },
    {
      ...{ bounds: [0.1, 1], buckets: [2, 1, 2], count: 5, sum: 4.5 },
    },
  );
  const size = named(metrics, "size")?.data;
  assert.ok(size?.kind === "summary");
  assert.deepEqual(size.points[0]?.quantiles, [{ quantile: 0.5, value: 3 }]);
  assert.equal(named(metrics, "target_info"), undefined);
  assert.equal(gaugeOf(metrics, "scrape_samples_scraped"), 11);
});

test("a series that is gone has ended; a page that fails ends all and is down", async (context) => {
  const served = await serve(context, "a 1\nb 2\n");
  const scrapes = await run(context, {
    static_configs: [{ targets: [`127.0.0.1:${served.port}`] }],
  });
  await scrapeWhere(scrapes, (metrics) => gaugeOf(metrics, "b") === 2);
  const isStale = (metrics: readonly DecodedMetric[], name: string): boolean =>
    named(metrics, name)?.data.points[0]?.isStale === true;
  served.answer = (to) => to.end("a 1\n");
  const without = await scrapeWhere(scrapes, (metrics) => isStale(metrics, "b"));
  assert.equal(gaugeOf(without, "a"), 1);
  served.answer = (to) => to.writeHead(500).end();
  const down = await scrapeWhere(scrapes, (metrics) => gaugeOf(metrics, "up") === 0);
  assert.ok(isStale(down, "a"));
  served.answer = (to) => to.end("a{ 1\n");
  const before = scrapes.length;
  await eventually(
    async () => scrapes.length,
    (count) => count > before + 2,
  );
  assert.equal(gaugeOf(scrapes.at(-1) ?? [], "up"), 0, "what cannot be read is down, too");
});

test("a counter that falls begins anew", async (context) => {
  const served = await serve(context, "# TYPE c counter\nc 9\n");
  const scrapes = await run(context, {
    static_configs: [{ targets: [`127.0.0.1:${served.port}`] }],
  });
  const startOf = (metrics: readonly DecodedMetric[]): bigint =>
    named(metrics, "c")?.data.points[0]?.startNs ?? 0n;
  const first = await scrapeWhere(scrapes, (metrics) => gaugeOf(metrics, "c") === 9);
  served.answer = (to) => to.end("# TYPE c counter\nc 2\n");
  const second = await scrapeWhere(scrapes, (metrics) => gaugeOf(metrics, "c") === 2);
  assert.ok(startOf(second) > startOf(first));
});

test("targets come from files and are relabelled; series are, too", async (context) => {
  const { port, headers } = await serve(context, "a 1\nb 2\n");
  const folder = mkdtempSync(join(tmpdir(), "backstitch-targets-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const list = (zone: string): string =>
    JSON.stringify([{ targets: [`127.0.0.1:${port}`, "dropped:1"], labels: { __zone: zone } }]);
  writeFileSync(join(folder, "one.json"), list("z1"));
  const scrapes = await run(context, {
    file_sd_configs: [{ files: [join(folder, "*.json")], refresh_interval: "50ms" }],
    basic_auth: { username: "ann", password: "secret" },
    relabel_configs: [
      { source_labels: ["__address__"], regex: "dropped:1", action: "drop" },
      { source_labels: ["__zone"], target_label: "zone" },
    ],
    metric_relabel_configs: [{ source_labels: ["__name__"], regex: "b", action: "drop" }],
  });
  const metrics = await scrapeWhere(scrapes, isUp);
  assert.equal(named(metrics, "a")?.data.points[0]?.attributes.get("zone"), "z1");
  assert.equal(named(metrics, "b"), undefined);
  assert.equal(gaugeOf(metrics, "scrape_samples_post_metric_relabeling"), 1);
  const credentials = Buffer.from("ann:secret").toString("base64");
  assert.equal(headers[0]?.authorization, `Basic ${credentials}`);
  writeFileSync(join(folder, "one.json"), list("z2"));
  const zoneOf = (found: readonly DecodedMetric[]): unknown =>
    named(found, "a")?.data.points[0]?.attributes.get("zone");
  await scrapeWhere(scrapes, (found) => isUp(found) && zoneOf(found) === "z2");
});

test("pages over a limit are down", async (context) => {
  const { port } = await serve(context, "a 1\nb 2\n");
  for (const limit of [{ sample_limit: 1 }, { body_size_limit: "5B" }, { label_limit: 1 }]) {
    const static_configs = [{ targets: [`127.0.0.1:${port}`] }];
    const scrapes = await run(context, { static_configs, ...limit });
    const isWanted = "label_limit" in limit ? 1 : 0;
    await scrapeWhere(scrapes, (found) => gaugeOf(found, "up") === isWanted);
  }
});

test("a configuration that Prometheus would refuse is refused", () => {
  const messages = (job: object): string =>
    configSchema
      .safeParse({ config: { scrape_configs: [{ job_name: "a" }, { job_name: "b", ...job }] } })
      .error?.issues.map((issue) => issue.message)
      .join() ?? "";
  assert.equal(messages({}), "");
  assert.match(messages({ job_name: "a" }), /multiple scrape configs with job name "a"/);
  assert.match(messages({ scrape_interval: "1s", scrape_timeout: "2s" }), /timeout greater than/);
  assert.match(
    messages({ file_sd_configs: [{ files: ["a.txt"] }] }),
    /not valid for file discovery/,
  );
  assert.match(messages({ kubernetes_sd_configs: [] }), /./);
});
