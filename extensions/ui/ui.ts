// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { join } from "node:path";
import { type ServerAuthenticator, serverAuthenticator } from "../../src/component/auth.ts";
import type { Extension, Host, Settings } from "../../src/component/component.ts";
import { QueryClock } from "../../src/store/query-clock.ts";
import { StoreReader } from "../../src/store/store-reader.ts";
import { listen } from "../../src/transport/listen.ts";
import { loadServerTls } from "../../src/transport/tls.ts";
import { AgentApi } from "./agent-api.ts";
import { type ApiRequest, HttpProblem, type Routes } from "./api.ts";
import { Catalog } from "./catalog.ts";
import type { UiConfig } from "./config.ts";
import { hostProblem, isLoopback, SECURITY_HEADERS } from "./http-rules.ts";
import { JaegerApi, jaegerError } from "./jaeger-api.ts";
import { JaegerV3, jaegerV3Error } from "./jaeger-v3.ts";
import { processes } from "./processes.ts";
import { map, operations, services } from "./series-api.ts";
import { staticFile } from "./static-files.ts";
import { otlp, search, span, trace, traces } from "./traces-api.ts";

const PAGE = join(import.meta.dirname, "page", "dist");
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 128;
const URL_MAX = 16 * 1024;
/** Queries at the same time; more are asked to come again. */
const QUERIES_MAX = 16;

/** Serves the page, its API and Jaeger's query API. */
export class Ui implements Extension {
  readonly #settings: Settings;
  readonly #config: UiConfig;
  readonly #store: StoreReader;
  #routes: Routes = [];
  #authenticator: ServerAuthenticator | undefined;
  #challenges: readonly string[] = [];
  #server: Server | undefined;
  #queries = 0;
  #port = 0;

  constructor(settings: Settings, config: UiConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#store = new StoreReader(config.directory, Date.now);
  }

  /** Where it listens, once started. */
  get port(): number {
    return this.#port;
  }

  async start(host: Host): Promise<void> {
    const { endpoint, tls, auth, directory, jaeger_url: jaegerUrl } = this.#config;
    const { logger } = this.#settings.telemetry;
    this.#authenticator = serverAuthenticator(host, auth);
    this.#challenges = challengesOf(host.agent?.extensionType(auth?.authenticator ?? ""));
    const { version } = this.#settings.buildInfo;
    const agent = new AgentApi({ view: host.agent, version, directory, jaegerUrl });
    this.#routes = routesOf(agent, host);
    const limits = {
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      maxHeaderSize: URL_MAX,
    };
    const isPlain = tls === undefined || tls === null;
    const server = isPlain
      ? createServer(limits)
      : createSecureServer({ ...limits, ...(await loadServerTls(tls)) });
    server.maxConnections = CONNECTIONS_MAX;
    server.on("request", (request, response) => void this.#serve(request, response));
    this.#port = await listen(server, endpoint);
    server.on("error", (error) => logger.warn("The page's server", { error: error.message }));
    this.#server = server;
    const shown = endpoint.host === "" ? "localhost" : endpoint.host;
    const name = shown.includes(":") ? `[${shown}]` : shown;
    const url = `${isPlain ? "http" : "https"}://${name}:${this.#port}`;
    logger.info("The page is served", { url });
    if (this.#authenticator === undefined && !isLoopback(endpoint.host)) {
      logger.warn("Everybody who reaches this address can read all traces. Set auth", { url });
    }
  }

  async shutdown(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      await promise;
    }
    this.#store.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    response.on("error", () => undefined);
    try {
      await this.#admit(request);
      await this.#answer(request, response);
    } catch (error) {
      const problem =
        error instanceof HttpProblem ? error : new HttpProblem(500, "an error in the agent");
      if (!(error instanceof HttpProblem)) {
        const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#settings.telemetry.logger.error("A query failed", { error: reason });
      }
      const body = errorBody(request.url ?? "/", problem);
      if (problem.status === 401) {
        response.setHeader("www-authenticate", this.#challenges);
      }
      sendJson(request, response, problem.status, body);
    }
  }

  /** Throws `HttpProblem` when the request must not be answered. */
  async #admit({ method, headers, url = "/" }: IncomingMessage): Promise<void> {
    if (method !== "GET" && method !== "HEAD") throw new HttpProblem(405, "only GET is answered");
    if (url.length > URL_MAX) throw new HttpProblem(414, "the address is too long");
    const wrong = hostProblem(this.#config.endpoint.host, headers.host);
    if (wrong !== undefined) throw new HttpProblem(421, wrong);
    const denied = await this.#authenticator?.authenticate((name) => {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    });
    if (denied !== undefined) throw new HttpProblem(401, denied);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = (request.url ?? "/").indexOf("?");
    const url = request.url ?? "/";
    const path = at < 0 ? url : url.slice(0, at);
    if (!path.startsWith("/api/") && path !== "/api") {
      await this.#sendFile(path, request, response);
      return;
    }
    const query = new URLSearchParams(at < 0 ? "" : url.slice(at + 1));
    for (const [pattern, route] of this.#routes) {
      const match = pattern.exec(path);
      if (match === null) continue;
      if (this.#queries >= QUERIES_MAX) {
        throw new HttpProblem(503, "too many queries at the same time. Ask again");
      }
      this.#queries++;
      try {
        const clock = new QueryClock(this.#config.query_timeout);
        const parts = match.slice(1).map(decodePart);
        const asked: ApiRequest = {
          store: this.#store,
          query,
          path: parts,
          clock,
          nowMs: Date.now(),
        };
        sendJson(request, response, 200, await route(asked));
      } finally {
        this.#queries--;
      }
      return;
    }
    throw new HttpProblem(404, "there is nothing at this address");
  }

  async #sendFile(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const accepted = String(request.headers["accept-encoding"] ?? "");
    const file = await staticFile(PAGE, { path: decodePart(path), accepted });
    if (file === undefined) {
      const advice = "Build the page: npm run setup";
      const isPage = path === "/" || path === "/index.html";
      throw new HttpProblem(404, isPage ? `the page is not built. ${advice}` : "no such file");
    }
    const { body, contentType, encoding, etag } = file;
    const headers = {
      ...SECURITY_HEADERS,
      "content-type": contentType,
      "cache-control": "no-cache",
      vary: "accept-encoding",
      etag,
      ...(encoding === "" ? {} : { "content-encoding": encoding }),
    };
    if (request.headers["if-none-match"] === etag) {
      response.writeHead(304, headers).end();
      return;
    }
    response.writeHead(200, { ...headers, "content-length": body.length });
    response.end(request.method === "HEAD" ? undefined : body);
  }
}

function routesOf(agent: AgentApi, host: Host): Routes {
  const catalog = new Catalog();
  const jaeger = new JaegerApi(catalog);
  const v3 = new JaegerV3(catalog);
  return [
    [/^\/api\/ui\/status$/, agent.status],
    [/^\/api\/ui\/services$/, services],
    [/^\/api\/ui\/operations$/, operations],
    [/^\/api\/ui\/map$/, map],
    [/^\/api\/ui\/search$/, search],
    [/^\/api\/ui\/traces$/, traces],
    [/^\/api\/ui\/traces\/([^/]+)$/, trace],
    [/^\/api\/ui\/traces\/([^/]+)\/otlp$/, otlp],
    [/^\/api\/ui\/traces\/([^/]+)\/spans\/([^/]+)$/, span],
    [/^\/api\/ui\/agent$/, agent.agent],
    [/^\/api\/ui\/agent\/history$/, agent.history],
    [/^\/api\/ui\/processes$/, () => processes(host)],
    [/^\/api\/services$/, jaeger.services],
    [/^\/api\/services\/([^/]+)\/operations$/, jaeger.operationNames],
    [/^\/api\/operations$/, jaeger.operations],
    [/^\/api\/traces$/, jaeger.traces],
    [/^\/api\/traces\/([^/]+)$/, jaeger.trace],
    [/^\/api\/dependencies$/, jaeger.dependencies],
    [/^\/api\/metrics\/(calls|latencies|errors|minstep)$/, jaeger.metrics],
    [/^\/api\/v3\/services$/, v3.services],
    [/^\/api\/v3\/operations$/, v3.operations],
    [/^\/api\/v3\/traces$/, v3.traces],
    [/^\/api\/v3\/traces\/([^/]+)$/, v3.trace],
  ];
}

/** One header each: Chromium does not ask for a password when two stand in one. */
function challengesOf(authenticator: string | undefined): readonly string[] {
  const [basic, bearer] = [
    'Basic realm="backstitch", charset="UTF-8"',
    'Bearer realm="backstitch"',
  ];
  if (authenticator === "basicauth") return [basic];
  return authenticator === "bearertokenauth" ? [bearer] : [basic, bearer];
}

/** In the shape that whoever asks at this address expects. */
function errorBody(url: string, problem: HttpProblem): object {
  if (url.startsWith("/api/v3/")) return jaegerV3Error(problem);
  if (!url.startsWith("/api/") || url.startsWith("/api/ui/")) return { error: problem.message };
  return jaegerError(problem);
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new HttpProblem(400, `malformed address: ${JSON.stringify(part)}`);
  }
}

function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  value: unknown,
): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, {
    ...SECURITY_HEADERS,
    "content-type": "application/json; charset=utf-8",
    "content-length": body.length,
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
