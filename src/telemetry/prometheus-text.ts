// SPDX-License-Identifier: Apache-2.0
import { DataPointType, type MetricData, type ResourceMetrics } from "@opentelemetry/sdk-metrics";
import { escapeHelp, labelText, numberText } from "../prometheus/text.ts";

/**
 * Metrics in Prometheus' text format 0.0.4 with the names as they are: no `_total`, no unit
 * suffix, no scope labels, as the Collector's default reader writes them.
 */
export function toPrometheusText(collected: ResourceMetrics): string {
  const metrics = collected.scopeMetrics
    .flatMap((scope) => scope.metrics)
    .filter((metric) => metric.dataPoints.length > 0)
    .sort((a, b) => (a.descriptor.name < b.descriptor.name ? -1 : 1));
  const lines: string[] = [];
  for (const metric of metrics) writeMetric(lines, metric);
  lines.push(
    "# HELP target_info Target metadata",
    "# TYPE target_info gauge",
    `target_info${labelsOf(collected.resource.attributes)} 1`,
  );
  return `${lines.join("\n")}\n`;
}

function writeMetric(lines: string[], metric: MetricData): void {
  const name = metricName(metric.descriptor.name);
  lines.push(`# HELP ${name} ${escapeHelp(metric.descriptor.description)}`);
  lines.push(`# TYPE ${name} ${typeOf(metric)}`);
  switch (metric.dataPointType) {
    case DataPointType.SUM:
    case DataPointType.GAUGE:
      for (const point of metric.dataPoints) {
        lines.push(`${name}${labelsOf(point.attributes)} ${numberText(point.value)}`);
      }
      break;
    case DataPointType.HISTOGRAM:
      for (const { attributes, value } of metric.dataPoints) {
        let cumulative = 0;
        value.buckets.counts.forEach((count, at) => {
          cumulative += count;
          const bound = value.buckets.boundaries[at] ?? Number.POSITIVE_INFINITY;
          const labels = labelsOf({ ...attributes, le: numberText(bound) });
          lines.push(`${name}_bucket${labels} ${cumulative}`);
        });
        lines.push(`${name}_sum${labelsOf(attributes)} ${numberText(value.sum ?? 0)}`);
        lines.push(`${name}_count${labelsOf(attributes)} ${value.count}`);
      }
      break;
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      break;
  }
}

function typeOf(metric: MetricData): string {
  if (metric.dataPointType === DataPointType.SUM) return metric.isMonotonic ? "counter" : "gauge";
  return metric.dataPointType === DataPointType.GAUGE ? "gauge" : "histogram";
}

function labelsOf(attributes: Readonly<Record<string, unknown>>): string {
  const labels = Object.entries(attributes).map(
    ([key, value]) => [labelName(key), String(value)] as const,
  );
  return labelText(labels.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function metricName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_:]/g, "_");
}

function labelName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_]/g, "_").replace(/^(\d)/, "_$1");
}
