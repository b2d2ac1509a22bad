// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { type FlatSpan, readOtlpJsonLines } from "../support/otlp-json.ts";
import { type HistogramPoint, readHistograms } from "../support/otlp-metrics-json.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const WAIT_MS = 30_000;
/** Words before an agent that may not read connection tracking. */
export const DENIED: readonly string[] = [
  ...["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"],
];
const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");

const METRICS = `    metrics: {receivers: [ebpf_l7], processors: [nat_rewrite], exporters: [file/metrics]}
`;

const GRAPH = `    metrics: {receivers: [servicegraph], exporters: [file/metrics]}
connectors: {servicegraph: {metrics_flush_interval: 300ms, store: {ttl: 20s, max_items: 10000}}}
`;

export interface NatAgentOptions {
  /** Name and pid of what is watched; nothing of a gateway. */
  readonly targets: Readonly<Record<string, number>>;
  /** YAML of components in flow style, by `kind::id`. */
  readonly processors: Readonly<Record<string, string>>;
  /** YAML of another exporter than the file, with its id; no file then. */
  readonly exporter?: readonly [id: string, yaml: string];
  /** The `otlp` receiver in place of `ebpf_l7`, on this port. */
  readonly listen?: number;
  /** A metrics pipeline, too, with `nat_rewrite` and a file of its own. */
  readonly metrics?: boolean;
  /** A service graph of what goes out, as metrics into the same file. */
  readonly serviceGraph?: boolean;
  /** Words before the agent's own. */
  readonly prefix?: readonly string[];
}

export interface NatAgent extends AsyncDisposable {
  readonly process: RunningProcess;
  spansWhen(isEnough: (spans: readonly FlatSpan[]) => boolean): Promise<readonly FlatSpan[]>;
  histogramsWhen(
    isEnough: (points: readonly HistogramPoint[]) => boolean,
  ): Promise<readonly HistogramPoint[]>;
}

/** Starts an agent, or a gateway that others send to, and waits until it works. */
export async function startNatAgent(options: NatAgentOptions): Promise<NatAgent> {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-nat-"));
  const output = join(folder, "spans.jsonl");
  const config = join(folder, "config.yaml");
  writeFileSync(config, configOf(options, output));
  const [command = BACKSTITCH, ...args] = [
    ...(options.prefix ?? []),
    ...[BACKSTITCH, "--config", config],
  ];
  const started = await startProcess({
    ...{ command, args, readyOutput: /Everything is ready/, readyTimeoutMs: 30_000 },
  });
  const read = (): readonly FlatSpan[] => (existsSync(output) ? readOtlpJsonLines(output) : []);
  return {
    process: started,
    spansWhen: async (isEnough) => await eventually(async () => read(), isEnough, WAIT_MS),
    histogramsWhen: async (isEnough) =>
      await eventually(async () => readHistograms(`${output}.metrics`), isEnough, WAIT_MS),
    [Symbol.asyncDispose]: async () => {
      await started.stop({ graceMs: 20_000 });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configOf(options: NatAgentOptions, output: string): string {
  const targets = Object.entries(options.targets).map(
    ([name, pid]) => `{pids: [${pid}], name: ${name}}`,
  );
  const processors = Object.entries(options.processors);
  const [exporter, yaml] = options.exporter ?? ["file", `{path: ${output}}`];
  const receiver = options.listen === undefined ? "ebpf_l7" : "otlp";
  const receiverYaml =
    options.listen === undefined
      ? "{local_address: true, metrics_interval: 300ms}"
      : `{protocols: {grpc: {endpoint: "127.0.0.1:${options.listen}"}}}`;
  return `
extensions: {discovery: {targets: [${targets.join(", ")}]}}
receivers: {${receiver}: ${receiverYaml}}
processors: {${processors.map(([id, body]) => `${id}: ${body}`).join(", ")}}
exporters: {${exporter}: ${yaml}, file/metrics: {path: ${output}.metrics}}
service:
  extensions: [${options.listen === undefined ? "discovery" : ""}]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces:
      receivers: [${receiver}]
      processors: [${processors.map(([id]) => id).join(", ")}]
      exporters: [${exporter}${options.serviceGraph === true ? ", servicegraph" : ""}]
${options.metrics === true ? METRICS : ""}${options.serviceGraph === true ? GRAPH : ""}`;
}
