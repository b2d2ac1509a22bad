// SPDX-License-Identifier: Apache-2.0
import type { AgentView, MetricSample } from "../../src/component/agent-view.ts";
import { metricHistory } from "../../src/store/metrics-query.ts";
import type { StoreFacts } from "../../src/store/store-reader.ts";
import { type ApiRequest, HttpProblem } from "./api.ts";
import { ownPrograms } from "./own-programs.ts";
import { numberParameter, textParameter } from "./parameters.ts";

const NO_FACTS: StoreFacts = {
  segments: 0,
  spans: 0,
  bytes: 0,
  oldestUs: 0,
  newestUs: 0,
  setAside: [],
};
const FAILURES: Readonly<Record<string, string>> = {
  disk_full: "The disk is full",
  read_only: "The disk is read-only",
  io_error: "The disk does not take writes; the agent's log says more",
};
/** Share of a queue from which on it is as good as full. */
const QUEUE_FULL = 0.9;
const HOUR_SECONDS = 3_600;
const HISTORY_SECONDS_MAX = 30 * 24 * HOUR_SECONDS;

export interface AgentApiOptions {
  readonly view: AgentView | undefined;
  readonly version: string;
  readonly directory: string;
  readonly jaegerUrl: string;
}

type Meaning = "in" | "out" | "lost" | "held";
type Kind = "receiver" | "processor" | "exporter";

/** Which metrics are entries of the loss account, and which side of it. */
const ACCOUNT: readonly (readonly [RegExp, Kind, Meaning])[] = [
  [/^otelcol_receiver_accepted_/, "receiver", "out"],
  [/^otelcol_receiver_(refused|failed)_/, "receiver", "lost"],
  [/^otelcol_processor_incoming_items$/, "processor", "in"],
  [/^otelcol_processor_outgoing_items$/, "processor", "out"],
  [/^otelcol_processor_(failed_items|.*_dropped)/, "processor", "lost"],
  [/^otelcol_exporter_sent_/, "exporter", "out"],
  [/^otelcol_exporter_(send_failed|enqueue_failed)_/, "exporter", "lost"],
  [/^otelcol_exporter_queue_size$/, "exporter", "held"],
  [/^backstitch_store_dropped_spans$/, "exporter", "lost"],
  [/^backstitch_span_stitch_held_spans$/, "processor", "held"],
  [/^backstitch_ebpf_l7_(records_seen|exchanges_started)$/, "receiver", "in"],
  [/^backstitch_ebpf_l7_(records_captured|exchanges_completed)$/, "receiver", "out"],
  [/^backstitch_ebpf_l7_exchanges_open$/, "receiver", "held"],
  [
    /^backstitch_ebpf_l7_(records_dropped|records_without_payload|exchanges_abandoned|unpaired)$/,
    "receiver",
    "lost",
  ],
];

/** What the agent says about itself. */
export class AgentApi {
  readonly #options: AgentApiOptions;

  constructor(options: AgentApiOptions) {
    this.#options = options;
  }

  readonly status = async ({ store, nowMs }: ApiRequest): Promise<unknown> => {
    const { version, directory, jaegerUrl } = this.#options;
    const facts = store.facts();
    const metrics = await this.#metrics();
    const dropped = droppedSpans(metrics);
    const problem =
      failureOf(metrics, directory) ??
      (facts !== undefined && facts.setAside.length > 0
        ? `${facts.setAside.length} damaged files of the store are set aside`
        : undefined);
    return {
      version,
      nowUs: nowMs * 1000,
      ...(facts === undefined && problem === undefined
        ? {}
        : {
            store: {
              directory,
              ...(facts ?? NO_FACTS),
              bytesMax: firstValue(metrics, "backstitch_store_capacity"),
              dropped,
              ...(problem === undefined ? {} : { problem }),
            },
          }),
      ...(jaegerUrl === "" ? {} : { jaegerUrl }),
    };
  };

  readonly agent = async (): Promise<unknown> => {
    const { view, version } = this.#options;
    const metrics = await this.#metrics();
    const { probes, kernelSeconds } = await ownPrograms();
    return {
      version,
      uptimeSeconds: process.uptime(),
      pipelines: (view?.pipelines ?? []).map(
        ({ id, signal, receivers, processors, exporters }) => ({
          id,
          signal,
          receivers,
          processors,
          exporters,
        }),
      ),
      extensions: view?.extensions ?? [],
      metrics,
      queues: queuesOf(metrics),
      account: accountOf(metrics),
      cost: { ...cost(), kernelSeconds },
      probes: [
        ...probes,
        ...(view?.refusedProbes() ?? []).map((probe) => ({ ...probe, attached: false })),
      ],
    };
  };

  readonly history = ({ query, store, nowMs, clock }: ApiRequest): Promise<unknown> => {
    const metric = textParameter(query, "metric");
    if (metric === undefined) throw new HttpProblem(400, "metric: missing. Name one of /agent");
    const rule = { name: "seconds", min: 1, max: HISTORY_SECONDS_MAX, advice: "Give seconds" };
    const seconds = numberParameter(query, rule) ?? HOUR_SECONDS;
    return metricHistory(store, { metric, seconds, nowMs, clock });
  };

  async #metrics(): Promise<readonly MetricSample[]> {
    return (await this.#options.view?.metrics()) ?? [];
  }
}

/** What is wrong with writing now, in words for people. */
function failureOf(metrics: readonly MetricSample[], directory: string): string | undefined {
  const failing = metrics.find(
    ({ name, value }) => name === "backstitch_store_failing" && value > 0,
  );
  const what = FAILURES[failing?.labels["reason"] ?? ""] ?? FAILURES["io_error"];
  if (failing !== undefined)
    return `${what}: ${directory}. No spans are kept until it can be written`;
  const full = queuesOf(metrics).find(
    ({ exporter, size, capacity }) =>
      isStore(metrics, exporter) && capacity > 0 && size >= QUEUE_FULL * capacity,
  );
  if (full === undefined) return undefined;
  return `The disk is slower than spans arrive: ${directory}. ${full.size} of ${full.capacity} batches wait`;
}

function isStore(metrics: readonly MetricSample[], exporter: string | undefined): boolean {
  return metrics.some(
    ({ name, labels }) => name === "backstitch_store_capacity" && labels["exporter"] === exporter,
  );
}

/** Spans that were not kept, by reason: those that could not be written or found no place. */
function droppedSpans(
  metrics: readonly MetricSample[],
): readonly { readonly reason: string; readonly spans: number }[] {
  const sums = new Map<string, number>();
  for (const { name, labels, value } of metrics) {
    const isLate =
      name === "otelcol_exporter_enqueue_failed_spans" && isStore(metrics, labels["exporter"]);
    if (!isLate && name !== "backstitch_store_dropped_spans") continue;
    const reason = isLate ? "overloaded" : (labels["reason"] ?? "");
    sums.set(reason, (sums.get(reason) ?? 0) + value);
  }
  return [...sums].flatMap(([reason, spans]) => (spans > 0 ? [{ reason, spans }] : []));
}

function firstValue(metrics: readonly MetricSample[], wanted: string): number {
  return metrics.find(({ name }) => name === wanted)?.value ?? 0;
}

interface Queue {
  readonly exporter: string;
  readonly dataType: string;
  readonly size: number;
  readonly capacity: number;
}

function queuesOf(metrics: readonly MetricSample[]): readonly Queue[] {
  return metrics
    .filter(({ name }) => name === "otelcol_exporter_queue_size")
    .map(({ labels, value }) => ({
      exporter: labels["exporter"] ?? "",
      dataType: labels["data_type"] ?? "",
      size: value,
      capacity:
        metrics.find(
          (other) =>
            other.name === "otelcol_exporter_queue_capacity" &&
            other.labels["exporter"] === labels["exporter"] &&
            other.labels["data_type"] === labels["data_type"],
        )?.value ?? 0,
    }));
}

function accountOf(metrics: readonly MetricSample[]): readonly object[] {
  return metrics.flatMap(({ name, labels, value }) => {
    const entry = ACCOUNT.find(([pattern]) => pattern.test(name));
    if (entry === undefined) return [];
    const [, kind, meaning] = entry;
    // The BPF receiver's own metrics name no component: there is one.
    const component = labels[kind] ?? /^backstitch_(ebpf_l7|span_stitch)_/.exec(name)?.[1] ?? "";
    return [{ component, kind, metric: name, labels, meaning, value }];
  });
}

function cost(): object {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return { cpuSeconds: (user + system) / 1e6, memoryBytes: rss, heapBytes: heapUsed };
}
