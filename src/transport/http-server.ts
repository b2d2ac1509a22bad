// SPDX-License-Identifier: Apache-2.0
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import type { TlsOptions } from "node:tls";
import type { ServerAuthenticator } from "../component/auth.ts";
import { closeServer } from "./close-server.ts";
import { DECODINGS, type Decompressed, decompress } from "./compression.ts";
import { allowCors, type CorsConfig } from "./cors.ts";
import { type ListenAddress, listen } from "./listen.ts";

export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array | string;
  /** Seconds, rounded up. */
  readonly retryAfterMs?: number;
}

/** A body that arrived whole and decompressed. */
export interface HttpPost {
  /** Lower case, without parameters. */
  readonly contentType: string;
  readonly body: Uint8Array;
  /** The IP address of the other end, empty where it has none. */
  readonly sender: string;
  readonly headers: IncomingHttpHeaders;
}

/** What answers the POSTs of one path. */
export interface HttpRoute {
  /** Content types taken; others are answered 415. */
  readonly contentTypes: readonly string[];
  /** Calls `respond` once, now or later. */
  handle(post: HttpPost, respond: (response: HttpResponse) => void): void;
  /** How the route says that a body could not be taken. */
  failure(contentType: string, status: number, message: string): HttpResponse;
}

export interface HttpServerOptions {
  readonly address: ListenAddress;
  readonly tls: TlsOptions | undefined;
  readonly routes: ReadonlyMap<string, HttpRoute>;
  /** Of one body, also after decompression. */
  readonly bodyBytesMax: number;
  /** Of all open requests together; more are answered 503. */
  readonly openBytesMax: number;
  /** A request that has not arrived after this time is cut off. */
  readonly receiveTimeoutMs: number;
  /** Who is let in; everybody when undefined. */
  readonly authenticator?: Pick<ServerAuthenticator, "authenticate"> | undefined;
  /** Which pages of other origins may send; none when undefined. */
  readonly cors?: CorsConfig | undefined;
}

const HEADERS_TIMEOUT_MS = 60_000;
const KEEP_ALIVE_MS = 120_000;
const CONNECTION_CHECK_MS = 1_000;

/** A server that takes POSTed bodies, bounded in size and time. HTTP/1.1. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Requests that are not answered. */
  readonly #open = new Map<ServerResponse, { readonly sinceMs: number; arrived: boolean }>();
  #openBytes = 0;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const limits = {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, options.receiveTimeoutMs),
      requestTimeout: options.receiveTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CONNECTION_CHECK_MS,
    };
    this.#server =
      options.tls === undefined
        ? createServer(limits)
        : createSecureServer({ ...limits, ...options.tls });
    this.#server.on("request", (request, response) => this.#serve(request, response));
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  /** Gives the port. Rejects with an `AgentError` when the address cannot be listened on. */
  start(): Promise<number> {
    return listen(this.#server, this.#options.address);
  }

  /** Takes no new connections, finishes open requests until `signal` aborts. */
  async shutdown(signal: AbortSignal): Promise<void> {
    await closeServer({
      server: this.#server,
      signal,
      end: () => this.#server.closeIdleConnections(),
      isBusy: () => this.#isBusy(),
      cut: () => {
        for (const socket of this.#sockets) socket.destroy();
      },
    });
  }

  /** A closed server looks no more at the times of requests that have not arrived. */
  #isBusy(): boolean {
    const sinceMs = performance.now() - this.#options.receiveTimeoutMs;
    return [...this.#open].some(([, exchange]) => exchange.arrived || exchange.sinceMs > sinceMs);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const { cors, authenticator } = this.#options;
    if (cors !== undefined && allowCors(cors, request, response) === "answered") return;
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const route = this.#options.routes.get(path);
    const contentType = mediaType(request.headers["content-type"]);
    const refusal = refusalOf(request, route, contentType);
    if (refusal !== undefined || route === undefined) {
      send(request, response, refusal ?? plain(404, "404 page not found\n"));
      return;
    }
    const encoding = request.headers["content-encoding"] ?? "";
    if (encoding !== "" && encoding !== "identity" && !DECODINGS.includes(encoding)) {
      const message = `unsupported Content-Encoding: ${encoding}`;
      send(request, response, route.failure(contentType, 400, message));
      return;
    }
    const exchange = { request, response, route, contentType, encoding };
    if (authenticator === undefined) this.#receive(exchange);
    else void this.#admit(authenticator, exchange);
  }

  /** The body is read only for those who are let in. */
  async #admit(
    authenticator: Pick<ServerAuthenticator, "authenticate">,
    exchange: Exchange,
  ): Promise<void> {
    const { request, response, route, contentType } = exchange;
    const denied = await authenticator.authenticate((name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    });
    if (denied === undefined) this.#receive(exchange);
    else send(request, response, route.failure(contentType, 401, denied));
  }

  #receive(exchange: Exchange): void {
    const { request, response, route, contentType } = exchange;
    const open = { sinceMs: performance.now(), arrived: false };
    this.#open.set(response, open);
    const fail = (status: number, message: string): void => {
      chunks = [];
      send(request, response, route.failure(contentType, status, message));
    };
    let chunks: Uint8Array[] = [];
    let received = 0;
    response.on("close", () => {
      this.#open.delete(response);
      this.#openBytes -= received;
      received = 0;
      chunks = [];
    });
    request.on("data", (chunk: Uint8Array) => {
      if (response.writableEnded) return;
      received += chunk.length;
      this.#openBytes += chunk.length;
      if (received > this.#options.bodyBytesMax) fail(400, "http: request body too large");
      else if (this.#openBytes > this.#options.openBytesMax) {
        fail(503, "too many requests are open");
      } else chunks.push(chunk);
    });
    request.on("end", () => {
      open.arrived = true;
      if (response.writableEnded) return;
      // An exact copy: the chunks are views of larger socket buffers, which a queue would keep.
      const body = Buffer.concat(chunks, received);
      chunks = [];
      this.#decompress(exchange, body);
    });
  }

  #decompress(exchange: Exchange, body: Uint8Array): void {
    const { encoding } = exchange;
    if (encoding === "" || encoding === "identity") {
      this.#handle(exchange, { ok: true, bytes: body });
      return;
    }
    const result = decompress(encoding, body, this.#options.bodyBytesMax);
    if (result instanceof Promise) void result.then((later) => this.#handle(exchange, later));
    else this.#handle(exchange, result);
  }

  #handle(exchange: Exchange, body: Decompressed): void {
    const { request, response, route, contentType } = exchange;
    if (response.destroyed) return;
    if (!body.ok) {
      const message = body.tooLarge ? "http: request body too large" : body.message;
      send(request, response, route.failure(contentType, 400, message));
      return;
    }
    const sender = request.socket.remoteAddress ?? "";
    const post = { contentType, body: body.bytes, sender, headers: request.headers };
    route.handle(post, (answer) => send(request, response, answer));
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: HttpRoute;
  readonly contentType: string;
  readonly encoding: string;
}

function mediaType(header: string | undefined): string {
  return (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

function plain(status: number, body: string): HttpResponse {
  return { status, contentType: "text/plain", body };
}

/** In the Collector's words. */
function refusalOf(
  request: IncomingMessage,
  route: HttpRoute | undefined,
  contentType: string,
): HttpResponse | undefined {
  if (route === undefined) return plain(404, "404 page not found\n");
  if (request.method !== "POST") return plain(405, "405 method not allowed, supported: [POST]");
  if (route.contentTypes.includes(contentType)) return undefined;
  const types = route.contentTypes.join(", ");
  return plain(415, `415 unsupported media type, supported: [${types}]`);
}

function send(request: IncomingMessage, response: ServerResponse, answer: HttpResponse): void {
  if (response.writableEnded || response.destroyed) return;
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  const { retryAfterMs } = answer;
  const isWhole = request.complete;
  response.writeHead(answer.status, {
    "content-type": answer.contentType,
    "content-length": body.length,
    ...(retryAfterMs === undefined
      ? {}
      : { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
    // What is left of a refused body is not read.
    ...(isWhole ? {} : { connection: "close" }),
  });
  response.end(body, () => {
    if (!isWhole) request.destroy();
  });
}
