// SPDX-License-Identifier: Apache-2.0
// CPU time a span of common Collector pipelines, against the Go Collector where its binary is named
// by OTELCOL, else against what it took on a machine like this: `npm run bench -- collector`.
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FACTORIES } from "../src/registry.ts";
import { scrapeMetrics, total } from "../test/support/own-metrics.ts";
import { cpuSeconds, residentMib, type Summary, summarise } from "./support/machine.ts";
import { type LoadOptions, type LoadResult, SPANS_PER_REQUEST } from "./support/otlp-load.ts";

const ROOT: string = join(import.meta.dirname, "..");
const PORT = 24_317;
const SINK_PORT = 24_318;
const METRICS_PORT = 18_889;
const WARM_UP_MS = 4_000;

interface Case {
  readonly name: string;
  readonly protocol: "grpc" | "http";
  readonly compression: "none" | "gzip";
  readonly processors: Readonly<Record<string, unknown>>;
  /** A connector in place of the exporter; its metrics are exported. */
  readonly connector?: Readonly<Record<string, unknown>>;
  /** CPU seconds of the Go Collector v0.159.0 a million spans, on one core of a machine like ours. */
  readonly goSeconds: number;
  /** How many times less ours shall take. */
  readonly goal: number;
}

const PLAIN = { protocol: "grpc", compression: "none" } as const;

/** Eight statements of the kinds that are in most files. */
const STATEMENTS = [
  'set(attributes["environment"], "production")',
  'set(attributes["http.route"], name) where kind == SPAN_KIND_SERVER',
  'delete_key(attributes, "attribute.number.7")',
  'replace_pattern(name, "[0-9]+", "{n}")',
  'set(status.code, STATUS_CODE_OK) where attributes["attribute.number.5"] == "no"',
  "truncate_all(attributes, 4096)",
  'set(attributes["long"], true) where Len(name) > 100',
  'keep_matching_keys(attributes, "^[a-z.0-9_]+$")',
];

const CASES: readonly Case[] = [
  { name: "batch", ...PLAIN, processors: { batch: {} }, goSeconds: 3.6, goal: 2.5 },
  {
    name: "batch, gzip out",
    ...PLAIN,
    compression: "gzip",
    processors: { batch: {} },
    goSeconds: 6.34,
    goal: 1.5,
  },
  {
    name: "batch, http",
    protocol: "http",
    compression: "none",
    processors: { batch: {} },
    goSeconds: 4.88,
    goal: 2,
  },
  {
    name: "attributes, resource, filter",
    ...PLAIN,
    processors: {
      attributes: {
        actions: [
          { key: "environment", value: "production", action: "upsert" },
          { key: "attribute.number.3", value: "new", action: "update" },
          { key: "attribute.number.7", action: "delete" },
        ],
      },
      resource: { attributes: [{ key: "deployment", value: "blue", action: "upsert" }] },
      filter: { traces: { span: ['attributes["attribute.number.5"] == "no"'] } },
      batch: {},
    },
    goSeconds: 4.62,
    goal: 1.5,
  },
  {
    name: "transform, 8 statements",
    ...PLAIN,
    processors: {
      transform: { trace_statements: [{ context: "span", statements: STATEMENTS }] },
      batch: {},
    },
    goSeconds: 5.45,
    goal: 1.2,
  },
  {
    name: "span_metrics",
    ...PLAIN,
    processors: {},
    connector: { metrics_flush_interval: "1s" },
    goSeconds: 5.06,
    goal: 1.5,
  },
  {
    name: "tail_sampling, 19 % kept",
    ...PLAIN,
    processors: {
      tail_sampling: {
        decision_wait: "2s",
        num_traces: 200_000,
        policies: [
          { name: "errors", type: "status_code", status_code: { status_codes: ["ERROR"] } },
          { name: "some", type: "probabilistic", probabilistic: { sampling_percentage: 10 } },
        ],
      },
      batch: {},
    },
    goSeconds: 8.67,
    goal: 2,
  },
];

function configOf(one: Case): string {
  const protocols = { [one.protocol]: { endpoint: `127.0.0.1:${PORT}` } };
  const http = one.protocol === "http";
  const exporter = http
    ? { endpoint: `http://127.0.0.1:${SINK_PORT}`, compression: one.compression }
    : {
        endpoint: `127.0.0.1:${SINK_PORT}`,
        tls: { insecure: true },
        compression: one.compression,
      };
  const exporterId = http ? "otlp_http" : "otlp_grpc";
  const names = Object.keys(one.processors);
  const first = one.connector === undefined ? exporterId : "span_metrics";
  const pipelines = {
    traces: { receivers: ["otlp"], processors: names, exporters: [first] },
    ...(one.connector !== undefined && {
      metrics: { receivers: ["span_metrics"], exporters: [exporterId] },
    }),
  };
  const reader = { host: "localhost", port: METRICS_PORT };
  return JSON.stringify({
    receivers: { otlp: { protocols } },
    processors: one.processors,
    connectors: one.connector === undefined ? {} : { span_metrics: one.connector },
    exporters: { [exporterId]: exporter },
    service: {
      telemetry: { metrics: { readers: [{ pull: { exporter: { prometheus: reader } } }] } },
      pipelines,
    },
  });
}

interface Run {
  /** CPU seconds a million spans received. */
  readonly seconds: number;
  readonly spansPerSecond: number;
  readonly residentMib: number;
  readonly refused: number;
}

async function measure(program: string, one: Case, folder: string, seconds: number): Promise<Run> {
  const file = join(folder, "collector.json");
  writeFileSync(file, configOf(one));
  const words = ["-c", "0", program, "--config", file];
  const agent = spawn("taskset", words, {
    stdio: "ignore",
    env: { ...process.env, GOMAXPROCS: "1" },
  });
  try {
    await untilReady(agent);
    const options: LoadOptions = {
      protocol: one.protocol,
      compression: "none",
      port: PORT,
      sinkPort: SINK_PORT,
      inFlight: 8,
      seconds: seconds + WARM_UP_MS / 1000,
    };
    const script = join(import.meta.dirname, "support/otlp-load.ts");
    const load = spawn("taskset", ["-c", "1", process.execPath, script, JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    load.stdout.setEncoding("utf8").on("data", (part: string) => {
      output += part;
    });
    const ended = new Promise((resolve) => load.once("exit", resolve));
    await sleep(WARM_UP_MS);
    const before = await sample(agent);
    await sleep(seconds * 1000 - 500);
    const after = await sample(agent);
    await ended;
    const { refused } = unsafeResult(output);
    const spans = after.spans - before.spans;
    return {
      seconds: ((after.cpu - before.cpu) / spans) * 1e6,
      spansPerSecond: spans / ((after.atMs - before.atMs) / 1000),
      residentMib: after.residentMib,
      refused: refused * SPANS_PER_REQUEST,
    };
  } finally {
    await stop(agent);
  }
}

function unsafeResult(text: string): LoadResult {
  // Printed by our own load generator.
  return JSON.parse(text) as LoadResult;
}

async function sample(agent: ChildProcess) {
  const pid = agent.pid ?? 0;
  const metrics = await scrapeMetrics(METRICS_PORT);
  return {
    spans: total(metrics, "otelcol_receiver_accepted_spans"),
    cpu: cpuSeconds(pid),
    residentMib: residentMib(pid),
    atMs: Date.now(),
  };
}

async function untilReady(agent: ChildProcess): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    await sleep(100);
    if (agent.exitCode !== null) throw new Error("the Collector did not start");
    try {
      await scrapeMetrics(METRICS_PORT);
      return;
    } catch {
      // Not there yet.
    }
  }
  throw new Error("the Collector did not get ready");
}

async function stop(agent: ChildProcess): Promise<void> {
  if (agent.exitCode !== null) return;
  const ended = new Promise((resolve) => agent.once("exit", resolve));
  agent.kill("SIGTERM");
  await ended;
}

interface CaseResult {
  readonly name: string;
  readonly ours: {
    readonly seconds: Summary;
    readonly spansPerSecond: Summary;
    readonly residentMib: Summary;
  };
  /** Measured in the same run, or recorded. */
  readonly go: { readonly seconds: number; readonly recorded: boolean };
  /** How many times less CPU ours takes; `goal` is what it shall reach. */
  readonly ratio: number;
  readonly goal: number;
}

/** All its components are of this build. */
function isBuilt(one: Case): boolean {
  const types = new Set(FACTORIES.map(({ type }) => type));
  const wanted = [
    ...Object.keys(one.processors),
    ...(one.connector === undefined ? [] : ["span_metrics"]),
  ];
  return wanted.every((type) => types.has(type));
}

export async function benchCollector(
  folder: string,
  options: { readonly rounds: number; readonly seconds: number },
): Promise<readonly CaseResult[]> {
  const peer = process.env["OTELCOL"];
  const results: CaseResult[] = [];
  for (const one of CASES.filter(isBuilt)) {
    const ours: Run[] = [];
    const theirs: Run[] = [];
    for (let round = 0; round < options.rounds; round++) {
      ours.push(await measure(join(ROOT, "bin/backstitch"), one, folder, options.seconds));
      if (peer !== undefined) theirs.push(await measure(peer, one, folder, options.seconds));
    }
    const seconds = summarise(ours.map((run) => run.seconds));
    const go = {
      seconds:
        peer === undefined ? one.goSeconds : summarise(theirs.map((run) => run.seconds)).median,
      recorded: peer === undefined,
    };
    results.push({
      name: one.name,
      ours: {
        seconds,
        spansPerSecond: summarise(ours.map((run) => run.spansPerSecond)),
        residentMib: summarise(ours.map((run) => run.residentMib)),
      },
      go,
      ratio: go.seconds / seconds.median,
      goal: one.goal,
    });
    process.stderr.write(`${JSON.stringify(results.at(-1))}\n`);
  }
  return results;
}
