// SPDX-License-Identifier: Apache-2.0
import type { MetricDefinition } from "./catalogue.ts";

type AttributeText = string | number | readonly string[];
export type Attributes = Readonly<Record<string, AttributeText>>;

interface Point {
  readonly value: number;
  readonly attributes: Attributes;
}

/** Takes what a scraper reads, of the metrics that are wanted. */
export class Recorder {
  readonly #wanted: ReadonlyMap<string, MetricDefinition>;
  readonly #points = new Map<string, Point[]>();

  constructor(wanted: readonly MetricDefinition[]) {
    this.#wanted = new Map(wanted.map((metric) => [metric.name, metric]));
  }

  wants(name: string): boolean {
    return this.#wanted.has(name);
  }

  /** Values that are no numbers (a field that this kernel lacks) are left out. */
  add(name: string, value: number | undefined, attributes: Attributes = {}): void {
    if (value === undefined || !Number.isFinite(value) || !this.#wanted.has(name)) return;
    const points = this.#points.get(name);
    if (points === undefined) this.#points.set(name, [{ value, attributes }]);
    else points.push({ value, attributes });
  }

  get count(): number {
    let count = 0;
    for (const points of this.#points.values()) count += points.length;
    return count;
  }

  /** As `Metric`s of OTLP/JSON. Times are nanoseconds of the epoch. */
  toMetrics(startNs: bigint, nowNs: bigint): readonly object[] {
    return [...this.#points].map(([name, points]) => {
      const metric = this.#wanted.get(name);
      const dataPoints = points.map(({ value, attributes }) => ({
        attributes: keyValues(attributes),
        ...(metric?.kind === "gauge" ? {} : { startTimeUnixNano: String(startNs) }),
        timeUnixNano: String(nowNs),
        ...(metric?.isInteger === true
          ? { asInt: String(Math.trunc(value)) }
          : { asDouble: value }),
      }));
      const common = { name, description: metric?.description, unit: metric?.unit };
      if (metric?.kind === "gauge") return { ...common, gauge: { dataPoints } };
      const isMonotonic = metric?.kind === "count";
      return { ...common, sum: { dataPoints, aggregationTemporality: 2, isMonotonic } };
    });
  }
}

export function keyValues(attributes: Attributes): readonly object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: AttributeText): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { intValue: String(value) };
  return { arrayValue: { values: value.map((one) => ({ stringValue: one })) } };
}
