// SPDX-License-Identifier: Apache-2.0
import type {
  Attributes,
  Meter,
  ObservableResult,
  Histogram as OtelHistogram,
} from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  AggregationType,
  type CollectionResult,
  DataPointType,
  type IMetricReader,
  MeterProvider,
  type MetricData,
  type MetricProducer,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import type { Counter, Histogram, Labels, MetricOptions } from "../component/telemetry.ts";

/** Series of one metric: beyond it the SDK folds them into one overflow series. */
const SERIES_MAX = 2_000;
/** The SDK's label of that series. */
const OVERFLOW = "otel.metric.overflow";

type Kind = "counter" | "gauge";
interface Series {
  readonly labels: Labels;
  readonly read: () => number;
}
interface Family {
  readonly kind: Kind;
  /** Several parts with the same labels (one a pipeline) are one series: their sum. */
  readonly series: Map<string, Set<Series>>;
  /** Keys of what was read in the last collection. */
  readonly observed: Set<string>;
}

/**
 * The agent's own metrics over the OpenTelemetry SDK. Counters are plain numbers that observable
 * instruments read when somebody collects, so counting costs one addition.
 */
export class Metrics {
  readonly #reader = new PullReader();
  readonly #provider: MeterProvider;
  readonly #meter: Meter;
  readonly #families = new Map<string, Family>();
  readonly #counters = new Map<string, PlainCounter>();
  readonly #histograms = new Map<string, OtelHistogram>();

  constructor(resource: Readonly<Record<string, string>>) {
    this.#provider = new MeterProvider({
      resource: resourceFromAttributes(resource),
      readers: [this.#reader],
    });
    this.#meter = this.#provider.getMeter("backstitch");
  }

  counter(name: string, options: MetricOptions, labels: Labels = {}): Counter {
    const key = `${name} ${labelKey(labels)}`;
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    const counter = new PlainCounter();
    this.#counters.set(key, counter);
    this.observe("counter", name, options, { labels, read: () => counter.value });
    return counter;
  }

  /** Adds a series that is read at collection; the result removes it. Equal labels are summed. */
  observe(kind: Kind, name: string, options: MetricOptions, series: Series): () => void {
    const family = this.#family(kind, name, options);
    const key = labelKey(series.labels);
    const parts = family.series.get(key) ?? new Set();
    family.series.set(key, parts.add(series));
    return () => {
      parts.delete(series);
      if (parts.size === 0 && family.series.get(key) === parts) family.series.delete(key);
    };
  }

  histogram(
    name: string,
    options: MetricOptions,
    boundaries: readonly number[],
    labels: Labels = {},
  ): Histogram {
    let instrument = this.#histograms.get(name);
    if (instrument === undefined) {
      instrument = this.#meter.createHistogram(name, {
        ...options,
        advice: { explicitBucketBoundaries: [...boundaries] },
      });
      this.#histograms.set(name, instrument);
    }
    const made = instrument;
    return { record: (value) => made.record(value, labels) };
  }

  /** Without what was removed: the SDK remembers the last value of every series. */
  async collect(): Promise<ResourceMetrics> {
    for (const { observed } of this.#families.values()) observed.clear();
    const { resourceMetrics } = await this.#reader.collect();
    const scopeMetrics = resourceMetrics.scopeMetrics.map((scope) => ({
      ...scope,
      metrics: scope.metrics.map((metric) => this.#withoutRemoved(metric)),
    }));
    return { ...resourceMetrics, scopeMetrics };
  }

  async shutdown(): Promise<void> {
    await this.#provider.shutdown();
  }

  #withoutRemoved(metric: MetricData): MetricData {
    const observed = this.#families.get(metric.descriptor.name)?.observed;
    if (observed === undefined) return metric;
    const isLive = ({ attributes }: { readonly attributes: Attributes }): boolean =>
      OVERFLOW in attributes || observed.has(labelKey(attributes));
    switch (metric.dataPointType) {
      case DataPointType.SUM:
        return { ...metric, dataPoints: metric.dataPoints.filter(isLive) };
      case DataPointType.GAUGE:
        return { ...metric, dataPoints: metric.dataPoints.filter(isLive) };
      default:
        return metric;
    }
  }

  #family(kind: Kind, name: string, options: MetricOptions): Family {
    const known = this.#families.get(name);
    if (known !== undefined) return known;
    const family: Family = { kind, series: new Map(), observed: new Set() };
    this.#families.set(name, family);
    const instrument =
      kind === "counter"
        ? this.#meter.createObservableCounter(name, options)
        : this.#meter.createObservableGauge(name, options);
    instrument.addCallback((result) => observeAll(family, result));
    return family;
  }
}

function observeAll(family: Family, result: ObservableResult): void {
  for (const [key, parts] of family.series) {
    let total = 0;
    let labels: Labels | undefined;
    for (const part of parts) {
      try {
        total += part.read();
        labels = part.labels;
      } catch {
        // What cannot be read now (a map that was closed) is left out of this scrape.
      }
    }
    if (labels === undefined || !Number.isFinite(total)) continue;
    result.observe(total, labels);
    family.observed.add(key);
  }
}

class PlainCounter implements Counter {
  value = 0;
  add(count: number): void {
    this.value += count;
  }
}

function labelKey(labels: Attributes): string {
  return Object.keys(labels)
    .sort()
    .map((key) => `${key}=${JSON.stringify(labels[key])}`)
    .join(",");
}

/** Collects when asked; keeps nothing between. */
class PullReader implements IMetricReader {
  #producer: MetricProducer | undefined;

  setMetricProducer(producer: MetricProducer): void {
    if (this.#producer !== undefined) throw new Error("The reader already has a producer");
    this.#producer = producer;
  }
  selectAggregation(): { readonly type: AggregationType.DEFAULT } {
    return { type: AggregationType.DEFAULT };
  }
  selectAggregationTemporality(): AggregationTemporality {
    return AggregationTemporality.CUMULATIVE;
  }
  selectCardinalityLimit(): number {
    return SERIES_MAX;
  }
  collect(): Promise<CollectionResult> {
    if (this.#producer === undefined) throw new Error("The reader has no producer");
    return this.#producer.collect();
  }
  async shutdown(): Promise<void> {}
  async forceFlush(): Promise<void> {}
}
