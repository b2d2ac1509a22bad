// SPDX-License-Identifier: Apache-2.0
import type { Meter, ObservableResult, Histogram as OtelHistogram } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  AggregationType,
  type CollectionResult,
  type IMetricReader,
  MeterProvider,
  type MetricProducer,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import type { Counter, Histogram, Labels, MetricOptions } from "../component/telemetry.ts";

/** Series of one metric: beyond it the SDK folds them into one overflow series. */
const SERIES_MAX = 2_000;

type Kind = "counter" | "gauge";
interface Series {
  readonly labels: Labels;
  readonly read: () => number;
}
interface Family {
  readonly kind: Kind;
  readonly series: Map<string, Series>;
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

  /** Adds a series that is read at collection; the result removes it. The last one added wins. */
  observe(kind: Kind, name: string, options: MetricOptions, series: Series): () => void {
    const family = this.#family(kind, name, options);
    const key = labelKey(series.labels);
    family.series.set(key, series);
    return () => {
      if (family.series.get(key) === series) family.series.delete(key);
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

  async collect(): Promise<ResourceMetrics> {
    return (await this.#reader.collect()).resourceMetrics;
  }

  async shutdown(): Promise<void> {
    await this.#provider.shutdown();
  }

  #family(kind: Kind, name: string, options: MetricOptions): Family {
    const known = this.#families.get(name);
    if (known !== undefined) return known;
    const family: Family = { kind, series: new Map() };
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
  for (const { labels, read } of family.series.values()) {
    try {
      const value = read();
      if (Number.isFinite(value)) result.observe(value, labels);
    } catch {
      // A series that cannot be read now (a map that was closed) is left out of this scrape.
    }
  }
}

class PlainCounter implements Counter {
  value = 0;
  add(count: number): void {
    this.value += count;
  }
}

function labelKey(labels: Labels): string {
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
