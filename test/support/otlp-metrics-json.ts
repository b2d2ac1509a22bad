// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { type Attributes, array, attributesOf, object } from "./otlp-json.ts";

/** One histogram point of OTLP JSON with its metric and resource, flat. */
export interface HistogramPoint {
  readonly metric: string;
  readonly unit: string;
  readonly service: string;
  readonly attributes: Attributes;
  readonly startNs: bigint;
  readonly timeNs: bigint;
  readonly count: bigint;
  readonly sum: number;
  readonly bucketCounts: readonly bigint[];
  readonly bounds: readonly number[];
  /** 1 delta, 2 cumulative. */
  readonly temporality: number;
}

/** All histogram points that the `file` exporter wrote, in the order of the file. */
export function readHistograms(path: string): readonly HistogramPoint[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split("\n").slice(0, -1).flatMap(histogramsOf);
}

function histogramsOf(json: string): readonly HistogramPoint[] {
  const points: HistogramPoint[] = [];
  for (const resourceMetrics of array(object(JSON.parse(json))["resourceMetrics"])) {
    const { resource, scopeMetrics } = object(resourceMetrics);
    const service = String(attributesOf(object(resource ?? {})["attributes"]).get("service.name"));
    for (const scope of array(scopeMetrics)) {
      for (const one of array(object(scope)["metrics"])) {
        points.push(...pointsOf(object(one), service));
      }
    }
  }
  return points;
}

function pointsOf(
  metric: Readonly<Record<string, unknown>>,
  service: string,
): readonly HistogramPoint[] {
  const histogram = object(metric["histogram"] ?? {});
  return array(histogram["dataPoints"]).map((one) => {
    const point = object(one);
    return {
      metric: String(metric["name"]),
      unit: String(metric["unit"]),
      service,
      attributes: attributesOf(point["attributes"]),
      startNs: BigInt(String(point["startTimeUnixNano"] ?? 0)),
      timeNs: BigInt(String(point["timeUnixNano"] ?? 0)),
      count: BigInt(String(point["count"] ?? 0)),
      sum: Number(point["sum"] ?? 0),
      bucketCounts: array(point["bucketCounts"]).map((count) => BigInt(String(count))),
      bounds: array(point["explicitBounds"]).map(Number),
      temporality: Number(histogram["aggregationTemporality"] ?? 0),
    };
  });
}
