// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createQueuedExporter, sendingQueueSchema } from "../../src/pipeline/export-helper.ts";
import { hasSuffixes } from "../../src/prometheus/translation.ts";
import { HttpPoster, parseRetryAfter, shownUrl } from "../../src/transport/http-post.ts";
import { snappyEncode } from "../../src/transport/snappy.ts";
import type { RemoteWriteConfig } from "./config.ts";
import { type SeriesOptions, toSeries } from "./series.ts";
import { writeRequests } from "./write-request.ts";

const decoder = new TextDecoder();
const TOO_MANY_REQUESTS = 429;
const PROTOCOL_HEADERS = {
  "content-type": "application/x-protobuf",
  "content-encoding": "snappy",
  "x-prometheus-remote-write-version": "0.1.0",
} as const;

/** Sends metrics by the remote write protocol, version 1. */
export function createRemoteWriteExporter(
  settings: ExporterSettings,
  config: RemoteWriteConfig,
): Exporter {
  const { endpoint: url } = config;
  const options = seriesOptions(config);
  const poster = new HttpPoster(settings, config, { url, fixed: PROTOCOL_HEADERS });
  const deltas = settings.telemetry.counter(
    "backstitch_exporter_dropped_metric_points",
    { description: "Points that cannot be sent.", unit: "{datapoint}" },
    { exporter: settings.id, reason: "delta" },
  );
  const send = async (body: Uint8Array, batch: Batch, abort: AbortSignal): Promise<void> => {
    const answer = await poster.post(snappyEncode(body), batch, abort);
    const { status } = answer;
    if (status >= 200 && status <= 299) return;
    const text = decoder.decode(answer.body.subarray(0, 256)).trim();
    const retryAfterMs = parseRetryAfter(answer.header("retry-after"));
    throw new AgentError("BS_EXPORT", `${shownUrl(url)} responded with status ${status}: ${text}`, {
      retryable: status >= 500 || status === TOO_MANY_REQUESTS,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  };
  const push = async (batch: Batch, abort: AbortSignal): Promise<void> => {
    const converted = toSeries(batch.chunks, options);
    deltas.add(converted.deltas);
    const metadata = config.send_metadata ? converted.metadata : [];
    const bodies = writeRequests(converted.series, metadata, config.max_batch_size_bytes);
    const { num_consumers: width } = config.remote_write_queue;
    for (let at = 0; at < bodies.length; at += width) {
      await Promise.all(bodies.slice(at, at + width).map((body) => send(body, batch, abort)));
    }
  };
  const { enabled, queue_size } = config.remote_write_queue;
  const helper = {
    timeoutMs: config.timeout,
    // One batch at a time: samples of a series must arrive in order.
    sendingQueue: sendingQueueSchema().parse({ enabled, queue_size, num_consumers: 1 }),
    retryOnFailure: config.retry_on_failure,
  };
  return createQueuedExporter(settings, helper, push, {
    start: (host) => poster.start(host),
    shutdown: () => poster.close(),
  });
}

function seriesOptions(config: RemoteWriteConfig): SeriesOptions {
  return {
    namespace: config.namespace,
    withSuffixes: hasSuffixes(config),
    withTarget: config.target_info.enabled,
    withResource: config.resource_to_telemetry_conversion.enabled,
    withScope: !config.disable_scope_info,
    constLabels: config.external_labels,
  };
}
