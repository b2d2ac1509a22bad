// SPDX-License-Identifier: Apache-2.0
import type { Labels } from "../../src/prometheus/labels.ts";
import { labelValue } from "../../src/prometheus/labels.ts";
import { labelName } from "../../src/prometheus/names.ts";
import type { Exemplar, HistogramPoint } from "../../src/prometheus/otlp-metrics.ts";
import { escapeHelp, labelText, numberText } from "../../src/prometheus/text.ts";
import type { Family, Series } from "./accumulator.ts";

/** Characters of an exemplar's labels, by OpenMetrics. */
const EXEMPLAR_MAX = 128;

export interface ExpositionOptions {
  readonly isOpenMetrics: boolean;
  readonly withTimestamps: boolean;
}

/** One page of metrics in the text format or as OpenMetrics. */
export class Exposition {
  readonly #options: ExpositionOptions;
  readonly #lines: string[] = [];

  constructor(options: ExpositionOptions) {
    this.#options = options;
  }

  family(family: Family): void {
    const { name, help, type, series } = family;
    const { isOpenMetrics } = this.#options;
    if (series.length === 0) return;
    // OpenMetrics names a counter without the suffix of its samples, and asks for the suffix.
    const bare = isOpenMetrics && type === "counter" ? name.replace(/_total$/, "") : name;
    const sample = isOpenMetrics && type === "counter" ? `${bare}_total` : name;
    this.#lines.push(`# HELP ${bare} ${escapeHelp(help, isOpenMetrics)}`, `# TYPE ${bare} ${type}`);
    for (const one of series) this.#series(sample, one, type === "counter");
  }

  targets(targets: readonly Labels[]): void {
    if (targets.length === 0) return;
    const { isOpenMetrics } = this.#options;
    const name = isOpenMetrics ? "target" : "target_info";
    const type = isOpenMetrics ? "info" : "gauge";
    this.#lines.push(`# HELP ${name} Target metadata`, `# TYPE ${name} ${type}`);
    for (const labels of targets) this.#lines.push(`target_info${labelText(labels)} 1`);
  }

  text(): string {
    const end = this.#options.isOpenMetrics ? ["# EOF"] : [];
    const lines = [...this.#lines, ...end];
    return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
  }

  #series(name: string, { labels, point }: Series, mayHaveExemplar: boolean): void {
    const time = this.#time(point.timeNs);
    if ("value" in point) {
      const [exemplar] = mayHaveExemplar ? point.exemplars : [];
      this.#sample(name, labels, point.value, time, exemplar);
      return;
    }
    if ("bounds" in point) this.#buckets(name, labels, point, time);
    else if ("quantiles" in point) {
      for (const { quantile, value } of point.quantiles) {
        this.#sample(name, [...labels, ["quantile", numberText(quantile)]], value, time);
      }
    } else this.#sample(`${name}_bucket`, [...labels, ["le", "+Inf"]], point.count, time);
    if (point.sum !== undefined) this.#sample(`${name}_sum`, labels, point.sum, time);
    this.#sample(`${name}_count`, labels, point.count, time);
  }

  #buckets(name: string, labels: Labels, point: HistogramPoint, time: string): void {
    const { bounds, buckets, exemplars, count } = point;
    let below = Number.NEGATIVE_INFINITY;
    let cumulative = 0;
    for (const [at, bound] of bounds.entries()) {
      cumulative += buckets[at] ?? 0;
      const exemplar = exemplars.find(({ value }) => value > below && value <= bound);
      const all = [...labels, ["le", numberText(bound)]] as const;
      this.#sample(`${name}_bucket`, all, cumulative, time, exemplar);
      below = bound;
    }
    const exemplar = exemplars.find(({ value }) => value > below);
    this.#sample(`${name}_bucket`, [...labels, ["le", "+Inf"]], count, time, exemplar);
  }

  #sample(
    name: string,
    labels: Iterable<readonly [string, string]>,
    value: number,
    time: string,
    exemplar?: Exemplar,
  ): void {
    const more = exemplar === undefined ? "" : this.#exemplar(exemplar);
    this.#lines.push(`${name}${labelText(labels)} ${numberText(value)}${time}${more}`);
  }

  #time(timeNs: bigint): string {
    const { withTimestamps, isOpenMetrics } = this.#options;
    if (!withTimestamps || timeNs === 0n) return "";
    const ms = timeNs / 1_000_000n;
    return isOpenMetrics ? ` ${Number(ms) / 1000}` : ` ${ms}`;
  }

  #exemplar({ attributes, traceId, spanId, value, timeNs }: Exemplar): string {
    if (!this.#options.isOpenMetrics) return "";
    const labels = new Map<string, string>();
    if (traceId !== "") labels.set("trace_id", traceId);
    if (spanId !== "") labels.set("span_id", spanId);
    let length = [...labels].reduce((sum, [name, text]) => sum + name.length + text.length, 0);
    for (const [name, one] of attributes) {
      const [label, text] = [labelName(name), labelValue(one)];
      length += label.length + text.length;
      if (length > EXEMPLAR_MAX) break;
      labels.set(label, text);
    }
    const time = timeNs === 0n ? "" : ` ${Number(timeNs / 1_000_000n) / 1000}`;
    return ` # ${labels.size === 0 ? "{}" : labelText(labels)} ${numberText(value)}${time}`;
  }
}
