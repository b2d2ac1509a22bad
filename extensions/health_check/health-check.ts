// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Extension, Settings } from "../../src/component/component.ts";
import { formatDuration } from "../../src/config/duration.ts";
import { listen } from "../../src/transport/listen.ts";
import { loadServerTls } from "../../src/transport/tls.ts";
import type { HealthCheckConfig } from "./config.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 64;
const NS_PER_MS = 1e6;
/** Go's zero time, which the Collector shows while it is not ready. */
const NEVER = "0001-01-01T00:00:00Z";

/** Answers 200 while all pipelines run and 503 before and after, as the Collector's does. */
export class HealthCheck implements Extension {
  readonly #settings: Settings;
  readonly #config: HealthCheckConfig;
  readonly #now: () => number;
  #server: Server | undefined;
  #port = 0;
  #upSinceMs: number | undefined;

  constructor(settings: Settings, config: HealthCheckConfig, now: () => number) {
    this.#settings = settings;
    this.#config = config;
    this.#now = now;
  }

  /** Where it listens, once started. */
  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    const { endpoint, tls, check_collector_pipeline: check } = this.#config;
    const { logger } = this.#settings.telemetry;
    const limits = { headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS };
    const server =
      tls === undefined || tls === null
        ? createServer(limits)
        : createSecureServer({ ...limits, ...(await loadServerTls(tls)) });
    server.maxConnections = CONNECTIONS_MAX;
    server.on("request", (request, response) => {
      request.resume();
      this.#answer(request.url?.split("?")[0] ?? "/", response);
    });
    this.#port = await listen(server, endpoint);
    server.on("error", (error) => logger.warn("Health check server", { error: error.message }));
    this.#server = server;
    if (check.enabled) logger.warn("check_collector_pipeline has no effect. Remove it");
    logger.info("Starting health_check extension", { endpoint: endpoint.text });
  }

  pipelinesReady(): void {
    this.#upSinceMs = this.#now();
    this.#settings.telemetry.logger.info("Health Check state change", { status: "ready" });
  }

  pipelinesStopping(): void {
    if (this.#upSinceMs === undefined) return;
    this.#upSinceMs = undefined;
    this.#settings.telemetry.logger.info("Health Check state change", { status: "unavailable" });
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

  #answer(path: string, response: ServerResponse): void {
    if (this.#config.path !== "/" && path !== this.#config.path) {
      response.writeHead(404, { "content-type": "text/plain; charset=utf-8" });
      response.end("404 page not found\n");
      return;
    }
    const since = this.#upSinceMs;
    const { response_body: bodies } = this.#config;
    const status = since === undefined ? 503 : 200;
    if (bodies !== undefined && bodies !== null) {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
      response.end(since === undefined ? bodies.unhealthy : bodies.healthy);
      return;
    }
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(since === undefined ? UNAVAILABLE : this.#available(since)));
  }

  #available(sinceMs: number): object {
    return {
      status: "Server available",
      upSince: new Date(sinceMs).toISOString(),
      uptime: formatDuration((this.#now() - sinceMs) * NS_PER_MS),
    };
  }
}

const UNAVAILABLE = { status: "Server not available", upSince: NEVER, uptime: "" };
