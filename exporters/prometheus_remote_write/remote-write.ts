// SPDX-License-Identifier: Apache-2.0
import { type ClientAuthenticator, clientAuthenticator } from "../../src/component/auth.ts";
import type { Exporter, ExporterSettings, Host } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createQueuedExporter, sendingQueueSchema } from "../../src/pipeline/export-helper.ts";
import { userAgent } from "../../src/transport/export-log.ts";
import { HttpClient } from "../../src/transport/http-client.ts";
import {
  parseRetryAfter,
  postError,
  shownUrl,
  withHeaders,
} from "../../src/transport/http-post.ts";
import { snappyEncode } from "../../src/transport/snappy.ts";
import { loadClientTls } from "../../src/transport/tls.ts";
import type { RemoteWriteConfig } from "./config.ts";
import { type SeriesOptions, toSeries } from "./series.ts";
import { writeRequests } from "./write-request.ts";

const decoder = new TextDecoder();
const TOO_MANY_REQUESTS = 429;

/** Sends metrics by the remote write protocol, version 1. */
export function createRemoteWriteExporter(
  settings: ExporterSettings,
  config: RemoteWriteConfig,
): Exporter {
  const { endpoint: url } = config;
  const options = seriesOptions(config);
  const headers = requestHeaders(settings, config);
  const deltas = settings.telemetry.counter(
    "backstitch_exporter_dropped_metric_points",
    { description: "Points that cannot be sent.", unit: "{datapoint}" },
    { exporter: settings.id, reason: "delta" },
  );
  let client: HttpClient | undefined;
  let authenticator: ClientAuthenticator | undefined;
  const start = async (host: Host): Promise<void> => {
    authenticator = clientAuthenticator(host, config.auth);
    client = new HttpClient({
      tls: url.protocol === "https:" ? await loadClientTls(config.tls) : undefined,
      idleTimeoutMs: config.idle_conn_timeout,
      idleSocketsMax: config.max_idle_conns,
    });
  };
  const send = async (body: Uint8Array, batch: Batch, abort: AbortSignal): Promise<void> => {
    if (client === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    const request = { headers, metadata: batch.metadata };
    const sent = withHeaders(headers, await authenticator?.authorization(request));
    const answer = await client.post(url, sent, snappyEncode(body), abort).catch((cause) => {
      throw postError(url, cause);
    });
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
  const shutdown = async (): Promise<void> => client?.close();
  return createQueuedExporter(settings, helper, push, { start, shutdown });
}

function seriesOptions(config: RemoteWriteConfig): SeriesOptions {
  const { translation_strategy: strategy, add_metric_suffixes: suffixes } = config;
  return {
    namespace: config.namespace,
    withSuffixes: strategy === undefined ? suffixes : !strategy.endsWith("WithoutSuffixes"),
    withTarget: config.target_info.enabled,
    withResource: config.resource_to_telemetry_conversion.enabled,
    withScope: !config.disable_scope_info,
    constLabels: config.external_labels,
  };
}

function requestHeaders(
  settings: ExporterSettings,
  config: RemoteWriteConfig,
): Readonly<Record<string, string>> {
  const own = [...config.headers].map(([name, value]) => [name.toLowerCase(), value.reveal()]);
  return {
    "user-agent": userAgent(settings.buildInfo.version),
    ...Object.fromEntries(own),
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
  };
}
