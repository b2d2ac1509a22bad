// SPDX-License-Identifier: Apache-2.0
import {
  baseLabels,
  identity,
  type LabelOptions,
  type Labels,
  seriesLabels,
  targetLabels,
} from "../../src/prometheus/labels.ts";
import { metricName } from "../../src/prometheus/names.ts";
import {
  type Attributes,
  type DecodedMetric,
  decodeMetrics,
  type HistogramPoint,
  type MetricData,
  type NumberPoint,
} from "../../src/prometheus/otlp-metrics.ts";

type Point = MetricData["points"][number];
export type FamilyType = "counter" | "gauge" | "histogram" | "summary";

export interface Series {
  readonly labels: Labels;
  readonly point: Point;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: FamilyType;
  readonly series: readonly Series[];
}

export interface AccumulatorOptions extends LabelOptions {
  readonly namespace: string;
  readonly withSuffixes: boolean;
  /** A series that was not reported for so long is forgotten, ms. */
  readonly expirationMs: number;
  readonly seriesMax: number;
}

/** Why a point is not kept. */
export type LossReason = "delta_gauge" | "type_conflict" | "too_many_series";

interface Kept extends Series {
  readonly seenMs: number;
}

interface KeptFamily {
  readonly name: string;
  help: string;
  readonly type: FamilyType;
  readonly series: Map<string, Kept>;
}

interface Target {
  readonly labels: Labels;
  seenMs: number;
}

/** The last point of every series, sums and histograms made cumulative. Bounded. */
export class Accumulator {
  readonly #options: AccumulatorOptions;
  readonly #lost: (reason: LossReason, points: number) => void;
  readonly #families = new Map<string, KeptFamily>();
  readonly #targets = new Map<string, Target>();
  #seriesCount = 0;

  constructor(options: AccumulatorOptions, lost: (reason: LossReason, points: number) => void) {
    this.#options = options;
    this.#lost = lost;
  }

  /** `chunk` is an `ExportMetricsServiceRequest`. */
  add(chunk: Uint8Array, nowMs: number): void {
    for (const metric of decodeMetrics(chunk)) {
      this.#addTarget(metric.resource, nowMs);
      this.#addMetric(metric, nowMs);
    }
  }

  /** By name, each with its series in the order in which they came. */
  families(nowMs: number): Family[] {
    this.#expire(nowMs);
    const families: Family[] = [];
    for (const { name, help, type, series } of this.#families.values()) {
      families.push({ name, help, type, series: [...series.values()] });
    }
    return families.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Labels of `target_info`, one of each resource that has more than its name. */
  targets(): Labels[] {
    return [...this.#targets.values()].map(({ labels }) => labels);
  }

  #addTarget(resource: Attributes, nowMs: number): void {
    const labels = targetLabels(resource);
    if (labels === undefined) return;
    const key = JSON.stringify([...identity(resource)]);
    if (this.#targets.size < this.#options.seriesMax || this.#targets.has(key)) {
      this.#targets.set(key, { labels, seenMs: nowMs });
    }
  }

  #addMetric(metric: DecodedMetric, nowMs: number): void {
    const { data } = metric;
    const isDelta = data.kind !== "gauge" && data.kind !== "summary" && data.isDelta;
    if (isDelta && data.kind === "sum" && !data.isMonotonic) {
      this.#lost("delta_gauge", data.points.length);
      return;
    }
    const family = this.#familyOf(metric);
    if (family === undefined) {
      this.#lost("type_conflict", data.points.length);
      return;
    }
    const base = baseLabels(metric, this.#options);
    for (const point of data.points) {
      const labels = seriesLabels(base, point.attributes);
      this.#addPoint(family, { labels, point, seenMs: nowMs }, isDelta);
    }
  }

  #familyOf(metric: DecodedMetric): KeptFamily | undefined {
    const { namespace, withSuffixes } = this.#options;
    const { data, unit, description: help } = metric;
    const type = typeOf(data);
    const isCounter = type === "counter";
    const isGauge = data.kind === "gauge";
    const parts = { namespace, name: metric.name, unit, isCounter, isGauge };
    const name = metricName(parts, withSuffixes);
    const before = this.#families.get(name);
    if (before !== undefined) {
      if (before.type !== type && before.series.size > 0) return undefined;
      if (before.type === type) {
        if (before.help === "") before.help = help;
        return before;
      }
    }
    const family = { name, help, type, series: new Map<string, Kept>() };
    this.#families.set(name, family);
    return family;
  }

  #addPoint(family: KeptFamily, kept: Kept, isDelta: boolean): void {
    const key = JSON.stringify([...kept.labels]);
    const before = family.series.get(key);
    if (kept.point.isStale) {
      if (family.series.delete(key)) this.#seriesCount--;
      return;
    }
    if (before === undefined && this.#seriesCount >= this.#options.seriesMax) {
      this.#lost("too_many_series", 1);
      return;
    }
    if (before !== undefined && kept.point.timeNs < before.point.timeNs) return;
    if (before === undefined) this.#seriesCount++;
    const point = isDelta && before !== undefined ? joined(before.point, kept.point) : kept.point;
    family.series.set(key, { ...kept, point });
  }

  #expire(nowMs: number): void {
    const untilMs = nowMs - this.#options.expirationMs;
    for (const [name, family] of this.#families) {
      for (const [key, { seenMs }] of family.series) {
        if (seenMs > untilMs) continue;
        family.series.delete(key);
        this.#seriesCount--;
      }
      if (family.series.size === 0) this.#families.delete(name);
    }
    for (const [key, { seenMs }] of this.#targets) if (seenMs <= untilMs) this.#targets.delete(key);
  }
}

function typeOf(data: MetricData): FamilyType {
  if (data.kind === "sum") return data.isMonotonic ? "counter" : "gauge";
  if (data.kind === "gauge" || data.kind === "summary") return data.kind;
  return "histogram";
}

/** Two deltas of one series are one after the other, or the series has begun anew. */
function joined(before: Point, next: Point): Point {
  const follows = next.startNs === 0n || next.startNs <= before.timeNs;
  if (!follows) return next;
  if ("value" in before && "value" in next) return sumOf(before, next);
  if ("bounds" in before && "bounds" in next) return histogramOf(before, next);
  return next;
}

function sumOf(before: NumberPoint, next: NumberPoint): NumberPoint {
  return { ...next, startNs: before.startNs, value: before.value + next.value };
}

function histogramOf(before: HistogramPoint, next: HistogramPoint): HistogramPoint {
  const { bounds } = next;
  const isAlike =
    bounds.length === before.bounds.length && bounds.every((one, at) => one === before.bounds[at]);
  if (!isAlike) return next;
  const sum =
    before.sum === undefined || next.sum === undefined ? undefined : before.sum + next.sum;
  const buckets = next.buckets.map((count, at) => count + (before.buckets[at] ?? 0));
  return { ...next, startNs: before.startNs, count: before.count + next.count, sum, buckets };
}
