// SPDX-License-Identifier: Apache-2.0
import {
  type AuthConfig,
  type ClientAuthenticator,
  clientAuthenticator,
} from "../component/auth.ts";
import type { Exporter, ExporterSettings, Host } from "../component/component.ts";
import { AgentError } from "../component/errors.ts";
import type { Headers, TlsClientConfig } from "../config/types.ts";
import type { Batch } from "../model/batch.ts";
import {
  createQueuedExporter,
  type RetryConfig,
  type SendingQueueConfig,
} from "../pipeline/export-helper.ts";
import { compress, type Encoding } from "./compression.ts";
import { userAgent } from "./export-log.ts";
import { type HttpAnswer, HttpClient } from "./http-client.ts";
import { parseRetryAfter, postError, shownUrl, withHeaders } from "./http-post.ts";
import { loadClientTls } from "./tls.ts";

export interface HttpExporterConfig {
  readonly compression: Encoding;
  readonly tls: TlsClientConfig;
  readonly headers: Headers;
  readonly auth?: AuthConfig | null | undefined;
  readonly timeout: number;
  readonly idle_conn_timeout: number;
  readonly max_idle_conns: number;
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
  const own = {
    "user-agent": userAgent(settings.buildInfo.version),
    ...Object.fromEntries(
      [...config.headers].map(([name, value]) => [name.toLowerCase(), value.reveal()]),
    ),
    "content-type": form.contentType,
    ...(config.compression === "none" ? {} : { "content-encoding": config.compression }),
  };
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
  const push = async (batch: Batch, abort: AbortSignal): Promise<void> => {
    if (client === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    const body = await compress(config.compression, form.encode(batch));
    const changes = await authenticator?.authorization({ headers: own, metadata: batch.metadata });
    const answer = await client.post(url, withHeaders(own, changes), body, abort).catch((cause) => {
      throw postError(url, cause);
    });
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
  const shutdown = async (): Promise<void> => client?.close();
  return createQueuedExporter(settings, helper, push, { start, shutdown });
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
