// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import {
  createQueuedExporter,
  retrySchema,
  sendingQueueSchema,
} from "../../src/pipeline/export-helper.ts";
import { OPENMETRICS_CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE } from "../../src/prometheus/text.ts";
import { hasSuffixes } from "../../src/prometheus/translation.ts";
import { type AdminAnswer, AdminServer, text } from "../../src/transport/admin-server.ts";
import { Accumulator, type LossReason } from "./accumulator.ts";
import type { PrometheusConfig } from "./config.ts";
import { Exposition } from "./exposition.ts";

/** Series of all metrics; each takes about a kilobyte. */
const SERIES_MAX = 200_000;

/** The exporter, and where it listens once started. */
export interface PrometheusExporter extends Exporter {
  readonly port: number;
}

/** Serves the last value of every series to whoever scrapes `/metrics`. */
export function createPrometheusExporter(
  settings: ExporterSettings,
  config: PrometheusConfig,
): PrometheusExporter {
  const options = {
    namespace: config.namespace,
    withSuffixes: hasSuffixes(config),
    expirationMs: config.metric_expiration,
    seriesMax: SERIES_MAX,
    withResource: config.resource_to_telemetry_conversion.enabled,
    withScope: !config.without_scope_info,
    constLabels: config.const_labels,
  };
  const accumulator = new Accumulator(options, createLossCount(settings));
  const server = new AdminServer({
    endpoint: config.endpoint,
    tls: config.tls,
    answer: async (url, _closed, { accept }) => answer(accumulator, config, url, accept),
  });
  const helper = {
    timeoutMs: 0,
    sendingQueue: sendingQueueSchema().parse({ enabled: false }),
    retryOnFailure: retrySchema().parse({ enabled: false }),
  };
  const push = async (batch: Batch): Promise<void> => {
    const nowMs = Date.now();
    for (const chunk of batch.chunks) accumulator.add(chunk, nowMs);
  };
  const exporter = createQueuedExporter(settings, helper, push, {
    start: () => server.start(),
    shutdown: () => server.shutdown(),
  });
  return Object.defineProperty(Object.assign(exporter, { port: 0 }), "port", {
    get: () => server.port,
  });
}

function answer(
  accumulator: Accumulator,
  config: PrometheusConfig,
  url: URL,
  accept: string = "",
): AdminAnswer {
  if (url.pathname !== "/metrics") return text(404, "404: try /metrics\n");
  const isOpenMetrics =
    config.enable_open_metrics && accept.includes("application/openmetrics-text");
  const page = new Exposition({ isOpenMetrics, withTimestamps: config.send_timestamps });
  for (const family of accumulator.families(Date.now())) page.family(family);
  page.targets(accumulator.targets());
  const contentType = isOpenMetrics ? OPENMETRICS_CONTENT_TYPE : PROMETHEUS_CONTENT_TYPE;
  return { status: 200, contentType, body: page.text() };
}

function createLossCount({
  id,
  telemetry,
}: ExporterSettings): (reason: LossReason, points: number) => void {
  const options = { description: "Points that cannot be served.", unit: "{datapoint}" };
  const count = (reason: LossReason): Counter =>
    telemetry.counter("backstitch_exporter_dropped_metric_points", options, {
      exporter: id,
      reason,
    });
  const counts = {
    delta_gauge: count("delta_gauge"),
    type_conflict: count("type_conflict"),
    too_many_series: count("too_many_series"),
  };
  return (reason, points) => counts[reason].add(points);
}
