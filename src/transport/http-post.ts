// SPDX-License-Identifier: Apache-2.0
import {
  type AuthConfig,
  type ClientAuthenticator,
  clientAuthenticator,
  type RequestHeaders,
} from "../component/auth.ts";
import type { ExporterSettings, Host } from "../component/component.ts";
import { AgentError } from "../component/errors.ts";
import type { Headers, TlsClientConfig } from "../config/types.ts";
import type { Batch } from "../model/batch.ts";
import { userAgent } from "./export-log.ts";
import { type HttpAnswer, HttpClient } from "./http-client.ts";
import { loadClientTls } from "./tls.ts";

export interface HttpPosterConfig {
  readonly tls: TlsClientConfig;
  readonly headers: Headers;
  readonly auth?: AuthConfig | null | undefined;
  readonly idle_conn_timeout: number;
  readonly max_idle_conns: number;
}

/** Posts bodies to one URL, with the headers and the authenticator of a configuration. */
export class HttpPoster {
  readonly #config: HttpPosterConfig;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  #client: HttpClient | undefined;
  #authenticator: ClientAuthenticator | undefined;

  /** `fixed` headers are not replaced by those of the configuration. */
  constructor(
    settings: Pick<ExporterSettings, "buildInfo">,
    config: HttpPosterConfig,
    to: { readonly url: URL; readonly fixed: Readonly<Record<string, string>> },
  ) {
    const own = [...config.headers].map(([name, value]) => [name.toLowerCase(), value.reveal()]);
    this.#config = config;
    this.#url = to.url;
    this.#headers = {
      "user-agent": userAgent(settings.buildInfo.version),
      ...Object.fromEntries(own),
      ...to.fixed,
    };
  }

  /** Rejects when files of `tls` cannot be read or the authenticator is none. */
  async start(host: Host): Promise<void> {
    const { auth, tls, idle_conn_timeout, max_idle_conns } = this.#config;
    this.#authenticator = clientAuthenticator(host, auth);
    this.#client = new HttpClient({
      tls: this.#url.protocol === "https:" ? await loadClientTls(tls) : undefined,
      idleTimeoutMs: idle_conn_timeout,
      idleSocketsMax: max_idle_conns,
    });
  }

  async close(): Promise<void> {
    this.#client?.close();
  }

  /** The answer, whatever its status. Rejects, to be tried again, when none comes. */
  async post(body: Uint8Array, batch: Batch, abort: AbortSignal): Promise<HttpAnswer> {
    const client = this.#client;
    if (client === undefined) throw new AgentError("BS_INTERNAL", "the exporter is not started");
    const request = { headers: this.#headers, metadata: batch.metadata };
    const changes = await this.#authenticator?.authorization(request);
    const sent = withHeaders(this.#headers, changes);
    return await client.post(this.#url, sent, body, abort).catch((cause: unknown) => {
      throw postError(this.#url, cause);
    });
  }
}

/** Without what a URL may hold in front of its host or behind its path. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** No answer came: to be tried again. */
function postError(url: URL, cause: unknown): AgentError {
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  const message = `failed to make an HTTP request: Post "${shownUrl(url)}": ${reason}`;
  return new AgentError("BS_EXPORT", message, { cause, retryable: true });
}

/** `changes` over `headers`; undefined takes a header away. */
function withHeaders(
  headers: Readonly<Record<string, string>>,
  changes: RequestHeaders | undefined,
): Readonly<Record<string, string>> {
  if (changes === undefined) return headers;
  const all = Object.entries({ ...headers, ...changes });
  const kept = all.filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(kept);
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3), in milliseconds from now. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}
