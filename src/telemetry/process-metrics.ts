// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "./metrics.ts";

const US_PER_S = 1e6;

/** The Collector's metrics of the process itself. */
export function registerProcessMetrics(metrics: Metrics, startMs: number): void {
  const sum = (name: string, description: string, unit: string, read: () => number): void => {
    metrics.observe("counter", name, { description, unit }, { labels: {}, read });
  };
  const gauge = (name: string, description: string, read: () => number): void => {
    metrics.observe("gauge", name, { description, unit: "By" }, { labels: {}, read });
  };
  sum("otelcol_process_uptime", "Uptime of the process", "s", () => (Date.now() - startMs) / 1000);
  sum("otelcol_process_cpu_seconds", "Total CPU user and system time in seconds", "s", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / US_PER_S;
  });
  gauge("otelcol_process_memory_rss", "Total physical memory (resident set size)", () =>
    process.memoryUsage.rss(),
  );
  gauge(
    "otelcol_process_runtime_heap_alloc_bytes",
    "Bytes of allocated heap objects",
    () => process.memoryUsage().heapUsed,
  );
  gauge("otelcol_process_runtime_total_sys_memory_bytes", "Total bytes of memory obtained", () => {
    const { heapTotal, external } = process.memoryUsage();
    return heapTotal + external;
  });
}
