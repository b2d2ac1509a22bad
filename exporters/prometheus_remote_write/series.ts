// SPDX-License-Identifier: Apache-2.0
import {
  baseLabels,
  type LabelOptions,
  type Labels,
  labelValue,
  seriesLabels,
  targetLabels,
} from "../../src/prometheus/labels.ts";
import { labelName, metricName } from "../../src/prometheus/names.ts";
import {
  type DecodedMetric,
  decodeMetrics,
  type Exemplar,
  type ExponentialPoint,
  type HistogramPoint,
  type SummaryPoint,
} from "../../src/prometheus/otlp-metrics.ts";
import { numberText } from "../../src/prometheus/text.ts";

export interface SentExemplar {
  readonly labels: Labels;
  readonly value: number;
  readonly timeMs: number;
}

/** One sample of one series; `histogram` in place of `value` for native histograms. */
export interface TimeSeries {
  /** Sorted by name, `__name__` among them. */
  readonly labels: Labels;
  readonly timeMs: number;
  /** Undefined: stale. */
  readonly value?: number | undefined;
  readonly histogram?: ExponentialPoint | undefined;
  readonly exemplars: readonly SentExemplar[];
}

/** Numbers are those of `MetricMetadata.MetricType`. */
export const METRIC_TYPES = { counter: 1, gauge: 2, histogram: 3, summary: 5 } as const;

export interface Metadata {
  readonly name: string;
  readonly type: number;
  readonly help: string;
  readonly unit: string;
}

export interface SeriesOptions extends LabelOptions {
  readonly namespace: string;
  readonly withSuffixes: boolean;
  readonly withTarget: boolean;
}

export interface Converted {
  readonly series: readonly TimeSeries[];
  readonly metadata: readonly Metadata[];
  /** Points of deltas: the protocol has cumulative ones only. */
  readonly deltas: number;
}

/** `chunks` are `ExportMetricsServiceRequest`s. */
export function toSeries(chunks: readonly Uint8Array[], options: SeriesOptions): Converted {
  const made = new Maker(options);
  for (const chunk of chunks) for (const metric of decodeMetrics(chunk)) made.add(metric);
  return made.converted();
}

class Maker {
  readonly #options: SeriesOptions;
  readonly #series: TimeSeries[] = [];
  readonly #metadata = new Map<string, Metadata>();
  readonly #targets = new Map<string, TimeSeries>();
  #deltas = 0;

  constructor(options: SeriesOptions) {
    this.#options = options;
  }

  converted(): Converted {
    const series = [...this.#series, ...this.#targets.values()];
    return { series, metadata: [...this.#metadata.values()], deltas: this.#deltas };
  }

  add(metric: DecodedMetric): void {
    const { data } = metric;
    if (data.kind !== "gauge" && data.kind !== "summary" && data.isDelta) {
      this.#deltas += data.points.length;
      return;
    }
    const name = this.#nameOf(metric);
    const base = baseLabels(metric, this.#options);
    let lastMs = 0;
    for (const point of data.points) {
      const labels = seriesLabels(base, point.attributes);
      const timeMs = Number(point.timeNs / 1_000_000n);
      lastMs = Math.max(lastMs, timeMs);
      const put = new Point(this.#series, labels, timeMs, point.isStale);
      if ("value" in point) put.sample(name, point.value, [], point.exemplars);
      else if ("bounds" in point) putHistogram(put, name, point);
      else if ("quantiles" in point) putSummary(put, name, point);
      else put.histogram(name, point);
    }
    this.#target(metric, lastMs);
  }

  #nameOf({ name, unit, description: help, data }: DecodedMetric): string {
    const { namespace, withSuffixes } = this.#options;
    const isCounter = data.kind === "sum" && data.isMonotonic;
    const parts = { namespace, name, unit, isCounter, isGauge: data.kind === "gauge" };
    const made = metricName(parts, withSuffixes);
    const kind = isCounter ? "counter" : data.kind === "sum" ? "gauge" : data.kind;
    const type = METRIC_TYPES[kind === "exponential" ? "histogram" : kind];
    this.#metadata.set(made, { name: made, type, help, unit });
    return made;
  }

  #target({ resource }: DecodedMetric, timeMs: number): void {
    const labels = this.#options.withTarget ? targetLabels(resource) : undefined;
    if (labels === undefined) return;
    const named = withName(labels, "target_info");
    const key = JSON.stringify([...named]);
    const before = this.#targets.get(key)?.timeMs ?? 0;
    const time = Math.max(before, timeMs);
    this.#targets.set(key, { labels: named, timeMs: time, value: 1, exemplars: [] });
  }
}

/** Series of one point. */
class Point {
  readonly #into: TimeSeries[];
  readonly #labels: Labels;
  readonly #timeMs: number;
  readonly #isStale: boolean;

  constructor(into: TimeSeries[], labels: Labels, timeMs: number, isStale: boolean) {
    this.#into = into;
    this.#labels = labels;
    this.#timeMs = timeMs;
    this.#isStale = isStale;
  }

  sample(
    name: string,
    value: number,
    more: readonly (readonly [string, string])[] = [],
    exemplars: readonly Exemplar[] = [],
  ): void {
    this.#into.push({
      labels: withName(new Map([...this.#labels, ...more]), name),
      timeMs: this.#timeMs,
      value: this.#isStale ? undefined : value,
      exemplars: exemplars.map(sentExemplar),
    });
  }

  histogram(name: string, point: ExponentialPoint): void {
    const labels = withName(this.#labels, name);
    const exemplars = point.exemplars.map(sentExemplar);
    const histogram = this.#isStale ? undefined : point;
    this.#into.push({ labels, timeMs: this.#timeMs, histogram, exemplars });
  }
}

function putHistogram(put: Point, name: string, point: HistogramPoint): void {
  const { bounds, buckets, exemplars, sum, count } = point;
  let below = Number.NEGATIVE_INFINITY;
  let cumulative = 0;
  for (const [at, bound] of bounds.entries()) {
    cumulative += buckets[at] ?? 0;
    const inside = exemplars.filter(({ value }) => value > below && value <= bound);
    put.sample(`${name}_bucket`, cumulative, [["le", numberText(bound)]], inside);
    below = bound;
  }
  const above = exemplars.filter(({ value }) => value > below);
  put.sample(`${name}_bucket`, count, [["le", "+Inf"]], above);
  if (sum !== undefined) put.sample(`${name}_sum`, sum);
  put.sample(`${name}_count`, count);
}

function putSummary(put: Point, name: string, point: SummaryPoint): void {
  for (const { quantile, value } of point.quantiles) {
    put.sample(name, value, [["quantile", numberText(quantile)]]);
  }
  put.sample(`${name}_sum`, point.sum);
  put.sample(`${name}_count`, point.count);
}

function sentExemplar({ attributes, traceId, spanId, value, timeNs }: Exemplar): SentExemplar {
  const labels = new Map([...attributes].map(([key, one]) => [labelName(key), labelValue(one)]));
  if (traceId !== "") labels.set("trace_id", traceId);
  if (spanId !== "") labels.set("span_id", spanId);
  return { labels, value, timeMs: Number(timeNs / 1_000_000n) };
}

function withName(labels: Labels, name: string): Labels {
  const all = new Map([...labels, ["__name__", name] as const]);
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}
