// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { AgentError } from "../component/errors.ts";
import { PROMETHEUS_CONTENT_TYPE } from "../prometheus/text.ts";
import type { Metrics } from "./metrics.ts";
import { toPrometheusText } from "./prometheus-text.ts";

const HEADERS_TIMEOUT_MS = 5_000;
const CONNECTIONS_MAX = 32;

/** Serves `/metrics`. Bounded in connections and times: anybody on the host may ask. */
export class PrometheusServer {
  readonly #metrics: Metrics;
  readonly #host: string;
  readonly #port: number;
  #server: Server | undefined;

  constructor(metrics: Metrics, address: { readonly host: string; readonly port: number }) {
    this.#metrics = metrics;
    this.#host = address.host;
    this.#port = address.port;
  }

  /** Where it listens; the port is the system's choice when 0 was asked for. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === "object" && address !== null ? address.port : this.#port;
  }

  async start(): Promise<void> {
    const server = createServer(
      { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: HEADERS_TIMEOUT_MS },
      (request, response) => {
        this.#answer(request, response).catch(() => response.destroy());
      },
    );
    server.maxConnections = CONNECTIONS_MAX;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ port: this.#port, host: this.#host === "" ? "::" : this.#host }, resolve);
    try {
      await promise;
    } catch (error) {
      throw this.#startError(error);
    }
    server.on("error", () => undefined);
    this.#server = server;
  }

  async shutdown(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    server.closeAllConnections();
    await promise;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const path = request.url?.split("?")[0];
    if (path !== "/metrics") {
      response.writeHead(404, { "content-type": "text/plain" }).end("404: try /metrics\n");
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
      return;
    }
    const text = toPrometheusText(await this.#metrics.collect());
    response.writeHead(200, { "content-type": PROMETHEUS_CONTENT_TYPE });
    response.end(request.method === "HEAD" ? undefined : text);
  }

  #startError(error: unknown): AgentError {
    const address = `${this.#host}:${this.#port}`;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const cause =
      code === "EADDRINUSE"
        ? "bind: address already in use"
        : error instanceof Error
          ? error.message
          : String(error);
    return new AgentError(
      "BS_START",
      `failed to serve our own metrics: listen tcp ${address}: ${cause}. Set another port at ` +
        "service::telemetry::metrics::readers (pull: {exporter: {prometheus: {host, port}}}) or " +
        "service::telemetry::metrics::level: none",
      { cause: error },
    );
  }
}
