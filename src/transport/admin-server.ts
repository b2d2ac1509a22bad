// SPDX-License-Identifier: Apache-2.0
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import { messageOf } from "../component/errors.ts";
import type { TlsServerConfig } from "../config/tls-server.ts";
import type { Endpoint } from "../config/types.ts";
import { listen } from "./listen.ts";
import { loadServerTls } from "./tls.ts";

export interface AdminAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

export interface AdminServerOptions {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  /** `closed` aborts when the client goes away, or the server ends. */
  answer(url: URL, closed: AbortSignal, headers: IncomingHttpHeaders): Promise<AdminAnswer>;
}

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 64;

/** Answers GET requests of people and tools; bounded in connections and times. */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #stop = new AbortController();
  #server: Server | undefined;
  #port = 0;

  constructor(options: AdminServerOptions) {
    this.#options = options;
  }

  /** Where it listens, once started. */
  get port(): number {
    return this.#port;
  }

  /** Rejects with `AgentError` when it cannot listen. */
  async start(): Promise<void> {
    const { endpoint, tls } = this.#options;
    const limits = { headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS };
    const server =
      tls === undefined || tls === null
        ? createServer(limits)
        : createSecureServer({ ...limits, ...(await loadServerTls(tls)) });
    server.maxConnections = CONNECTIONS_MAX;
    server.on("request", (request, response) => void this.#serve(request, response));
    this.#port = await listen(server, endpoint);
    server.on("error", () => undefined);
    this.#server = server;
  }

  async shutdown(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#stop.abort();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    server.closeAllConnections();
    await promise;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    response.on("error", () => undefined);
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const url = URL.parse(`http://agent${request.url ?? "/"}`) ?? new URL("http://agent/");
    const answer =
      request.method === "GET" || request.method === "HEAD"
        ? await this.#answer(
            url,
            AbortSignal.any([gone.signal, this.#stop.signal]),
            request.headers,
          )
        : text(405, "405 method not allowed, supported: [GET]\n");
    if (response.destroyed) return;
    response.writeHead(answer.status, {
      "content-type": answer.contentType,
      "x-content-type-options": "nosniff",
    });
    response.end(request.method === "HEAD" ? undefined : answer.body);
  }

  async #answer(url: URL, closed: AbortSignal, headers: IncomingHttpHeaders): Promise<AdminAnswer> {
    try {
      return await this.#options.answer(url, closed, headers);
    } catch (error) {
      return text(500, `${messageOf(error)}\n`);
    }
  }
}

export function text(status: number, body: string): AdminAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body };
}
