// SPDX-License-Identifier: Apache-2.0
/** The agent's own telemetry in the form of OTLP/JSON requests. */
import { DataPointType, type MetricData, type ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { Temporality } from "../config/telemetry-otlp.ts";

const SCOPE = "backstitch";
const DELTA = 1;
const CUMULATIVE = 2;
const NS_PER_MS = 1_000_000n;

export type Attributes = Readonly<Record<string, unknown>>;

interface KeyValue {
  readonly key: string;
  readonly value: object;
}

export function keyValues(attributes: Attributes): KeyValue[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: unknown): object {
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  }
  return { stringValue: String(value) };
}

/** Nanoseconds since 1970 as text; `timeMs` may have a fraction. */
export function unixNano(timeMs: number): string {
  const whole = Math.trunc(timeMs);
  return String(BigInt(whole) * NS_PER_MS + BigInt(Math.round((timeMs - whole) * 1e6)));
}

export interface OwnResource {
  readonly attributes: Attributes;
  readonly version: string;
}

function scopeOf(resource: OwnResource): object {
  return { name: SCOPE, version: resource.version };
}

export function tracesRequest(resource: OwnResource, spans: readonly object[]): object {
  const scopeSpans = [{ scope: scopeOf(resource), spans }];
  return {
    resourceSpans: [{ resource: { attributes: keyValues(resource.attributes) }, scopeSpans }],
  };
}

export function logsRequest(resource: OwnResource, logRecords: readonly object[]): object {
  const scopeLogs = [{ scope: scopeOf(resource), logRecords }];
  return {
    resourceLogs: [{ resource: { attributes: keyValues(resource.attributes) }, scopeLogs }],
  };
}

interface Point {
  readonly attributes: Attributes;
  readonly startTime: readonly [number, number];
  readonly endTime: readonly [number, number];
}

interface Last {
  readonly timeUnixNano: string;
  readonly values: readonly number[];
}

/** Makes requests of what the SDK collected; remembers what it said for `delta`. */
export class MetricsRequests {
  readonly #resource: OwnResource;
  readonly #temporality: Temporality;
  #last = new Map<string, Last>();
  #next = new Map<string, Last>();

  constructor(resource: OwnResource, temporality: Temporality) {
    this.#resource = resource;
    this.#temporality = temporality;
  }

  /** Call once a collection. */
  request({ scopeMetrics }: ResourceMetrics): object {
    this.#next = new Map();
    const metrics = scopeMetrics
      .flatMap((scope) => scope.metrics)
      .filter((metric) => metric.dataPoints.length > 0)
      .map((metric) => this.#metric(metric));
    // A series that has ended is forgotten.
    this.#last = this.#next;
    const scoped = [{ scope: scopeOf(this.#resource), metrics }];
    const attributes = keyValues(this.#resource.attributes);
    return { resourceMetrics: [{ resource: { attributes }, scopeMetrics: scoped }] };
  }

  #metric(metric: MetricData): object {
    const { name, unit, description } = metric.descriptor;
    const head = { name, unit, description };
    const isWhole = unit !== "s";
    switch (metric.dataPointType) {
      case DataPointType.GAUGE:
        return {
          ...head,
          gauge: {
            dataPoints: metric.dataPoints.map((point) => numberPoint(point, point.value, isWhole)),
          },
        };
      case DataPointType.SUM: {
        // What is read when somebody collects stays cumulative with low_memory (specification).
        const isDelta = this.#temporality === "delta";
        const dataPoints = metric.dataPoints.map((point) => {
          const { times, values } = this.#since(name, point, [point.value], isDelta);
          return { ...numberPoint(point, values[0] ?? 0, isWhole), ...times };
        });
        const aggregationTemporality = isDelta ? DELTA : CUMULATIVE;
        return {
          ...head,
          sum: { dataPoints, aggregationTemporality, isMonotonic: metric.isMonotonic },
        };
      }
      case DataPointType.HISTOGRAM: {
        const isDelta = this.#temporality !== "cumulative";
        const dataPoints = metric.dataPoints.map((point) => {
          const { count, sum = 0, buckets } = point.value;
          const now = [count, sum, ...buckets.counts];
          const { times, values } = this.#since(name, point, now, isDelta);
          return {
            attributes: keyValues(point.attributes),
            ...times,
            count: String(values[0]),
            sum: values[1],
            bucketCounts: values.slice(2).map(String),
            explicitBounds: buckets.boundaries,
          };
        });
        const aggregationTemporality = isDelta ? DELTA : CUMULATIVE;
        return { ...head, histogram: { dataPoints, aggregationTemporality } };
      }
      case DataPointType.EXPONENTIAL_HISTOGRAM:
        return head;
    }
  }

  #since(
    name: string,
    point: Point,
    values: readonly number[],
    isDelta: boolean,
  ): {
    readonly times: { readonly startTimeUnixNano: string; readonly timeUnixNano: string };
    readonly values: readonly number[];
  } {
    const timeUnixNano = nanoOf(point.endTime);
    const startTimeUnixNano = nanoOf(point.startTime);
    const times = { startTimeUnixNano, timeUnixNano };
    if (!isDelta) return { times, values };
    const key = `${name} ${JSON.stringify(Object.entries(point.attributes).sort())}`;
    const last = this.#last.get(key);
    this.#next.set(key, { timeUnixNano, values });
    // Smaller than before: the series began again.
    const isSame = last !== undefined && (values[0] ?? 0) >= (last.values[0] ?? 0);
    if (last === undefined || !isSame) return { times, values };
    return {
      times: { startTimeUnixNano: last.timeUnixNano, timeUnixNano },
      values: values.map((value, at) => value - (last.values[at] ?? 0)),
    };
  }
}

function nanoOf([seconds, ns]: readonly [number, number]): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(ns));
}

function numberPoint(point: Point, value: number, isWhole: boolean): object {
  const number =
    isWhole && Number.isSafeInteger(value) ? { asInt: String(value) } : { asDouble: value };
  return {
    attributes: keyValues(point.attributes),
    startTimeUnixNano: nanoOf(point.startTime),
    timeUnixNano: nanoOf(point.endTime),
    ...number,
  };
}
