// SPDX-License-Identifier: Apache-2.0

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Fields = Readonly<Record<string, string | number | boolean>>;

/** A component's log; its id and kind are added. One capitalised sentence plus fields. */
export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

export type Labels = Readonly<Record<string, string>>;

/** A monotonic count kept as a plain number: `add` costs one addition. */
export interface Counter {
  add(count: number): void;
  readonly value: number;
}

/** How one of our own metrics is published. */
export interface MetricOptions {
  readonly description: string;
  /** UCUM, for example `{span}`, `By`, `s`. */
  readonly unit: string;
}

/** A distribution; `record` costs some hundred nanoseconds: once a batch, not once an item. */
export interface Histogram {
  record(value: number): void;
}

/** A piece of the agent's own work that has begun. */
export interface OwnSpan {
  /** Once; `error` says what went wrong. */
  end(attributes: Fields, error?: string): void;
}

/** Makes spans of the agent's own work. */
export interface Tracer {
  /** Undefined when this one is not sampled. */
  start(name: string, attributes: Fields): OwnSpan | undefined;
}

/**
 * The agent's own metrics and log, under the Collector's names (`otelcol_…`). The labels of
 * the component are given by the component itself (`receiver`, `exporter`, `processor`).
 */
export interface Telemetry {
  readonly logger: Logger;
  /** Own traces; absent when they are off. Once a batch, not once an item. */
  readonly tracer?: Tracer | undefined;
  /** The same name and labels give the same counter. */
  counter(name: string, options: MetricOptions, labels?: Labels): Counter;
  /** `read` is called when the metrics are collected. Returns a function that removes the gauge. */
  gauge(name: string, options: MetricOptions, read: () => number, labels?: Labels): () => void;
  /** Like `gauge`, for a monotonic sum that something else counts (a BPF map). */
  observedCounter(
    name: string,
    options: MetricOptions,
    read: () => number,
    labels?: Labels,
  ): () => void;
  /** `boundaries` are upper bounds, ascending. */
  histogram(
    name: string,
    options: MetricOptions,
    boundaries: readonly number[],
    labels?: Labels,
  ): Histogram;
}
