// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { type FlatSpan, readOtlpJsonLines } from "./otlp-json.ts";
import { scrapeMetrics } from "./own-metrics.ts";
import { freePorts } from "./proc-net.ts";
import { type RunningProcess, startProcess } from "./process.ts";

const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");

export interface AgentOptions {
  /** YAML of `extensions::discovery::targets`, in flow style. */
  readonly targets: string;
  /** YAML of `extensions::discovery::exclude`, in flow style. */
  readonly exclude?: string;
  /** YAML of `exporters`, in flow style, besides `file`; and their ids. */
  readonly exporters?: { readonly yaml: string; readonly ids: readonly string[] };
  /** YAML of `receivers` besides `ebpf_l7`, and their ids. */
  readonly receivers?: { readonly yaml: string; readonly ids: readonly string[] };
  /** YAML of `receivers::ebpf_l7`. */
  readonly capture?: string;
  /** YAML of `processors::span_stitch`. */
  readonly stitch?: string;
  /** YAML of `processors::batch`. */
  readonly batch?: string;
  /** YAML of further pipelines, in flow style: `metrics: {…}`. */
  readonly pipelines?: string;
  /** Further words after the agent's own. */
  readonly args?: readonly string[];
  /** Words before the agent's own, such as `taskset -c 1`. */
  readonly prefix?: readonly string[];
  /** Write spans to a file, for `spans()`. Default true. */
  readonly file?: boolean;
  /** Default 20 s. */
  readonly readyTimeoutMs?: number;
}

/** The agent, `bin/backstitch`, as a user starts it. */
export interface TestAgent {
  readonly process: RunningProcess;
  readonly pid: number;
  /** What the `file` exporter has written so far. */
  spans(): readonly FlatSpan[];
  /** Waits until as many spans are there, or until time is up; then all that are. */
  spansWhen(count: number, timeoutMs?: number): Promise<readonly FlatSpan[]>;
  /** Own metrics by name and labels, as scraped. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** SIGTERM and the end of the drain. The spans stay readable until disposal. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts the agent and waits until it observes. */
export async function startTestAgent(options: AgentOptions): Promise<TestAgent> {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-test-"));
  const [port = 0] = await freePorts(1);
  const output = join(folder, "spans.jsonl");
  const config = join(folder, "config.yaml");
  writeFileSync(config, agentConfig(options, { port, output }));
  const [command = BACKSTITCH, ...args] = [
    ...(options.prefix ?? []),
    ...[BACKSTITCH, "--config", config],
    ...(options.args ?? []),
  ];
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  // Also when the agent does not start, or nobody disposes of it.
  process.once("exit", removeFolder);
  const started = await startProcess({
    command,
    args,
    readyOutput: /Everything is ready/,
    readyTimeoutMs: options.readyTimeoutMs ?? 20_000,
  });
  const spans = (): readonly FlatSpan[] => (existsSync(output) ? readOtlpJsonLines(output) : []);
  const stop = async (): Promise<void> => {
    await started.stop({ graceMs: 20_000 });
  };
  return {
    process: started,
    pid: started.pid,
    spans,
    spansWhen: async (count, timeoutMs = 20_000) =>
      await eventually(
        async () => spans(),
        (found) => found.length >= count,
        timeoutMs,
      ),
    metrics: async () => await scrapeMetrics(port),
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      removeFolder();
      process.off("exit", removeFolder);
    },
  };
}

function agentConfig(
  options: AgentOptions,
  own: { readonly port: number; readonly output: string },
): string {
  const withFile = options.file ?? true;
  const exporters = [...(withFile ? ["file"] : []), ...(options.exporters?.ids ?? [])];
  const receivers = ["ebpf_l7", ...(options.receivers?.ids ?? [])];
  return `
extensions:
  discovery: {targets: ${options.targets}, exclude: ${options.exclude ?? "[]"}}
receivers:
  ebpf_l7: ${options.capture ?? "{}"}
${indented(options.receivers?.yaml)}
processors: {span_stitch: ${options.stitch ?? "{}"}, batch: ${options.batch ?? "{}"}}
exporters:
${withFile ? `  file: {path: ${own.output}}` : ""}
${indented(options.exporters?.yaml)}
service:
  extensions: [discovery]
  telemetry:
    metrics:
      readers: [{pull: {exporter: {prometheus: {host: localhost, port: ${own.port}}}}}]
  pipelines:
    traces:
      receivers: [${receivers.join(", ")}]
      processors: [span_stitch, batch]
      exporters: [${exporters.join(", ")}]
${indented(options.pipelines, 4)}
`;
}

function indented(yaml: string | undefined, by: number = 2): string {
  return (yaml ?? "").replace(/^(?=.)/gm, " ".repeat(by));
}
