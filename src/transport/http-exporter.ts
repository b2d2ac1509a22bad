// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings } from "../component/component.ts";
import { AgentError } from "../component/errors.ts";
import type { Batch } from "../model/batch.ts";
import {
  createQueuedExporter,
  type RetryConfig,
  type SendingQueueConfig,
} from "../pipeline/export-helper.ts";
import { compress, type Encoding } from "./compression.ts";
import type { HttpAnswer } from "./http-client.ts";
import { HttpPoster, type HttpPosterConfig, parseRetryAfter, shownUrl } from "./http-post.ts";

export interface HttpExporterConfig extends HttpPosterConfig {
  readonly compression: Encoding;
  readonly timeout: number;
  readonly sending_queue: SendingQueueConfig;
  readonly retry_on_failure: RetryConfig;
}

export interface HttpExporterForm {
  readonly url: URL;
  readonly contentType: string;
  /** The body of a batch. Throws `AgentError` when there is none. */
  encode(batch: Batch): Uint8Array;
  /** What a successful answer says besides; throws `AgentError` when that is a failure. */
  accept?(answer: HttpAnswer): void;
}

const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** An exporter that posts each batch to one URL. */
export function createHttpExporter(
  settings: ExporterSettings,
  config: HttpExporterConfig,
  form: HttpExporterForm,
): Exporter {
  const { url } = form;
  const fixed = {
    "content-type": form.contentType,
    ...(config.compression === "none" ? {} : { "content-encoding": config.compression }),
  };
  const poster = new HttpPoster(settings, config, { url, fixed });
  const push = async (batch: Batch, abort: AbortSignal): Promise<void> => {
    const body = await compress(config.compression, form.encode(batch));
    const answer = await poster.post(body, batch, abort);
    if (answer.status < 200 || answer.status > 299) {
      throw refusal(url, answer);
    }
    form.accept?.(answer);
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

/** A server that is busy may say when to come again. */
function refusal(url: URL, answer: HttpAnswer): AgentError {
  const { status } = answer;
  const retryAfterMs =
    status === 429 || status === 503 ? parseRetryAfter(answer.header("retry-after")) : undefined;
  const message = `Post "${shownUrl(url)}": HTTP status ${status}`;
  return new AgentError("BS_EXPORT", message, {
    retryable: RETRYABLE.has(status),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
