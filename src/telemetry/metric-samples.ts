// SPDX-License-Identifier: Apache-2.0
import type { Attributes } from "@opentelemetry/api";
import { DataPointType, type MetricData, type ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { MetricSample } from "../component/agent-view.ts";

/** What the SDK collected, one entry a series. */
export function samplesOf({ scopeMetrics }: ResourceMetrics): readonly MetricSample[] {
  return scopeMetrics.flatMap(({ metrics }) => metrics.flatMap(samplesOfMetric));
}

function samplesOfMetric(metric: MetricData): readonly MetricSample[] {
  const { name, unit, description } = metric.descriptor;
  const sample = (
    kind: MetricSample["kind"],
    attributes: Attributes,
    value: number,
  ): MetricSample => ({ name, kind, unit, description, labels: labelsOf(attributes), value });
  switch (metric.dataPointType) {
    case DataPointType.SUM:
      return metric.dataPoints.map((point) => sample("counter", point.attributes, point.value));
    case DataPointType.GAUGE:
      return metric.dataPoints.map((point) => sample("gauge", point.attributes, point.value));
    case DataPointType.HISTOGRAM:
      return metric.dataPoints.map((point) =>
        sample("histogram", point.attributes, point.value.sum ?? 0),
      );
    default:
      return [];
  }
}

function labelsOf(attributes: Attributes): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, String(value)]));
}
