// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { decodeJsonPartialSuccess, decodePartialSuccess } from "../../src/pdata/partial-success.ts";
import { isOtlpSignal, type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import { createQueuedExporter } from "../../src/pipeline/export-helper.ts";
import { compress } from "../../src/transport/compression.ts";
import { logPartialSuccess } from "../../src/transport/export-log.ts";
import { decodeStatus } from "../../src/transport/grpc-status.ts";
import type { HttpAnswer } from "../../src/transport/http-client.ts";
import { HttpPoster, parseRetryAfter, shownUrl } from "../../src/transport/http-post.ts";
import type { OtlpHttpConfig } from "./config.ts";

const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const NO_BYTES = new Uint8Array(0);
const CONTENT_TYPES = { proto: "application/x-protobuf", json: "application/json" } as const;

/** Sends a signal's batches over HTTP; as protobuf the bytes stay what they are. */
export function createOtlpHttpExporter(
  settings: ExporterSettings,
  config: OtlpHttpConfig,
): Exporter {
  const { signal } = settings;
  if (!isOtlpSignal(signal)) throw new AgentError("BS_CONFIG", `otlp_http has no ${signal}`);
  const url = signalUrl(signal, config);
  const poster = new HttpPoster(settings, config, { url, fixed: fixedHeaders(config) });
  const push = async (batch: Batch, abort: AbortSignal): Promise<void> => {
    const body = await compress(config.compression, encode(signal, config.encoding, batch));
    const answer = await poster.post(body, batch, abort);
    if (answer.status < 200 || answer.status > 299) throw answerError(url, answer);
    const isJson = config.encoding === "json";
    const partial = isJson
      ? decodeJsonPartialSuccess(signal, answer.body)
      : decodePartialSuccess(answer.body);
    logPartialSuccess(settings.telemetry.logger, signal, partial);
  };
  const helper = {
    timeoutMs: config.timeout,
    sendingQueue: config.sending_queue,
    retryOnFailure: config.retry_on_failure,
  };
  return createQueuedExporter(settings, helper, push, {
    start: (host) => poster.start(host),
    shutdown: () => poster.close(),
  });
}

/** A signal's own endpoint as it is, else the common one with the signal's path. */
export function signalUrl(signal: OtlpSignal, config: OtlpHttpConfig): URL {
  const own = config[`${signal}_endpoint`];
  if (own !== undefined) return own;
  if (config.endpoint === undefined) {
    throw new AgentError(
      "BS_CONFIG",
      `either endpoint or ${signal}_endpoint must be specified: this exporter is used for ${signal}`,
    );
  }
  const base = config.endpoint.href.replace(/\/$/, "");
  return new URL(base + REQUESTS[signal].httpPath);
}

function fixedHeaders(config: OtlpHttpConfig): Readonly<Record<string, string>> {
  return {
    "content-type": CONTENT_TYPES[config.encoding],
    ...(config.compression === "none" ? {} : { "content-encoding": config.compression }),
  };
}

function encode(signal: OtlpSignal, encoding: "proto" | "json", batch: Batch): Uint8Array {
  const { chunks } = batch;
  const bytes = chunks.length === 1 ? (chunks[0] ?? NO_BYTES) : Buffer.concat(chunks);
  if (encoding === "proto") return bytes;
  const result = toOtlpJson(REQUESTS[signal].request, bytes);
  if (result.ok) return Buffer.from(result.json);
  throw new AgentError("BS_EXPORT", `malformed batch at byte ${result.offset}`);
}

function answerError(url: URL, answer: HttpAnswer): AgentError {
  const { status } = answer;
  const isProtobuf = answer.header("content-type")?.startsWith("application/x-protobuf") ?? false;
  const details = isProtobuf ? decodeStatus(answer.body) : undefined;
  const more = details === undefined ? "" : `, Message=${details.message}, Details=[]`;
  const throttles = status === 429 || status === 503;
  const retryAfterMs = throttles ? parseRetryAfter(answer.header("retry-after")) : undefined;
  return new AgentError(
    "BS_EXPORT",
    `error exporting items, request to ${shownUrl(url)} responded with HTTP Status Code ${status}${more}`,
    {
      retryable: RETRYABLE.has(status),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  );
}
