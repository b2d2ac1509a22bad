// SPDX-License-Identifier: Apache-2.0
import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { ConnectionOptions } from "node:tls";
import { BufferPool } from "./buffer-pool.ts";
import { compress, type Encoding, grpcEncoding } from "./compression.ts";
import { framedBytes, frameMessage, HEADER_BYTES } from "./grpc-frame.ts";
import {
  decodeGrpcMessage,
  decodeStatus,
  GRPC,
  type GrpcStatus,
  grpcCodeOfHttp,
  toGrpcTimeout,
} from "./grpc-status.ts";
import { type ClientKeepalive, Http2Connection } from "./http2-connection.ts";

export interface GrpcClientOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined: plain text. */
  readonly tls: ConnectionOptions | undefined;
  readonly compression: Encoding;
  /** Sent with each call; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  readonly authority: string | undefined;
  readonly keepalive?: ClientKeepalive | undefined;
}

export interface CallOptions {
  /** Besides those of all calls; names in lower case. Undefined takes one of those away. */
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** Told to the server; 0 is none. The call itself ends by `signal`. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A call always ends in one of these; `body` is the response message of code OK. */
export interface GrpcResult extends GrpcStatus {
  readonly body: Uint8Array;
}

const RESPONSE_BYTES_MAX = 4 * 1024 * 1024;
const BACKOFF_FIRST_MS = 1_000;
/** gRPC's own is 120 s; shorter, as a queue waits for the way back. */
const BACKOFF_MAX_MS = 20_000;
const BACKOFF_FACTOR = 1.6;
const NO_BYTES = new Uint8Array(0);

/**
 * A gRPC client for unary calls: one HTTP/2 connection, made at the first call, made again when
 * it is lost (with back-off) or the server says GOAWAY.
 */
export class GrpcClient {
  readonly #options: GrpcClientOptions;
  readonly #frames = new BufferPool();
  #connection: Http2Connection | undefined;
  #failures = 0;
  #retryAtMs = 0;
  #lastFailure = "";
  #closed = false;

  constructor(options: GrpcClientOptions) {
    this.#options = options;
  }

  /** Sends the chunks as one message. Never rejects: failures are statuses. */
  async unary(
    path: string,
    chunks: readonly Uint8Array[],
    options: CallOptions,
  ): Promise<GrpcResult> {
    const { compression } = this.#options;
    const isPlain = compression === "none";
    const body = isPlain ? chunks : [await compress(grpcEncoding(compression), joined(chunks))];
    const connection = this.#connected();
    if (typeof connection === "string") return failure(GRPC.unavailable, connection);
    const target = this.#frames.take(framedBytes(body));
    const framed = frameMessage(body, { compressed: !isPlain, target });
    return this.#send(connection, { framed, target }, { path, ...options });
  }

  /** Closes the connection after the open calls. */
  close(): void {
    this.#closed = true;
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** The connection, or why there is none. */
  #connected(): Http2Connection | string {
    if (this.#closed) return "the client is closed";
    if (this.#connection?.isUsable === true) return this.#connection;
    if (performance.now() < this.#retryAtMs) return this.#lastFailure;
    const connection = this.#connect();
    this.#connection = connection;
    return connection;
  }

  #connect(): Http2Connection {
    const { host, port, tls } = this.#options;
    const scheme = tls === undefined ? "http" : "https";
    const shown = host.includes(":") ? `[${host}]` : host;
    const link = {
      origin: `${scheme}://${shown}:${port}`,
      tls,
      keepalive: this.#options.keepalive,
    };
    const connection = new Http2Connection(link, {
      seen: () => {
        this.#failures = 0;
        this.#retryAtMs = 0;
      },
      ended: (error) => {
        if (!connection.isSeen && error !== undefined) this.#backOff(error);
        if (this.#connection === connection) this.#connection = undefined;
      },
    });
    return connection;
  }

  #backOff(error: unknown): void {
    this.#lastFailure = this.#dialFailure(error);
    const delayMs = Math.min(
      BACKOFF_FIRST_MS * BACKOFF_FACTOR ** Math.min(this.#failures, 16),
      BACKOFF_MAX_MS,
    );
    this.#failures++;
    this.#retryAtMs = performance.now() + delayMs;
  }

  #send(
    connection: Http2Connection,
    { framed, target }: { readonly framed: Buffer; readonly target: Buffer },
    call: CallOptions & { readonly path: string },
  ): Promise<GrpcResult> {
    const { signal } = call;
    const { promise, resolve } = Promise.withResolvers<GrpcResult>();
    let stream: ClientHttp2Stream;
    try {
      stream = connection.request(this.#headers(call));
    } catch (error) {
      return Promise.resolve(failure(GRPC.unavailable, messageOf(error)));
    }
    const onAbort = (): void => {
      stream.close(constants.NGHTTP2_CANCEL);
      connection.probe();
      finish(failure(GRPC.deadlineExceeded, "context deadline exceeded"));
    };
    const finish = (result: GrpcResult): void => {
      signal.removeEventListener("abort", onAbort);
      resolve(result);
    };
    receive(stream, finish, (error) => this.#streamError(connection, stream, error));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    // Finished: the socket has all of it. After an error the connection may still hold it.
    stream.once("finish", () => {
      if (!signal.aborted) this.#frames.give(target);
    });
    stream.end(framed);
    return promise;
  }

  #headers(call: CallOptions & { readonly path: string }): OutgoingHttpHeaders {
    const { headers, compression, userAgent, authority } = this.#options;
    return {
      ...headers,
      ...call.headers,
      ":method": "POST",
      ":path": call.path,
      ...(authority === undefined ? {} : { ":authority": authority }),
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": userAgent,
      "grpc-accept-encoding": "identity",
      ...(compression === "none" ? {} : { "grpc-encoding": compression }),
      ...(call.timeoutMs > 0 ? { "grpc-timeout": toGrpcTimeout(call.timeoutMs) } : {}),
    };
  }

  #streamError(connection: Http2Connection, stream: ClientHttp2Stream, error: unknown): GrpcResult {
    // A reset of the stream leaves the connection alive; anything else is the connection's end.
    if (connection.failedWith(error)) {
      const message = connection.isSeen ? messageOf(error) : this.#dialFailure(error);
      return failure(GRPC.unavailable, message);
    }
    return failure(codeOfReset(stream.rstCode), messageOf(error));
  }

  #dialFailure(error: unknown): string {
    const { host, port } = this.#options;
    const reason = dialError(error, `${host}:${port}`);
    return `connection error: desc = "transport: Error while dialing: ${reason}"`;
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? (chunks[0] ?? NO_BYTES) : Buffer.concat(chunks);
}

/** Calls `finish` once with the call's end. */
function receive(
  stream: ClientHttp2Stream,
  finish: (result: GrpcResult) => void,
  failed: (error: unknown) => GrpcResult,
): void {
  const chunks: Uint8Array[] = [];
  let received = 0;
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on("response", (headers) => {
    head = headers;
  });
  stream.on("trailers", (headers) => {
    trailers = headers;
  });
  stream.on("data", (chunk: Uint8Array) => {
    received += chunk.length;
    if (received <= RESPONSE_BYTES_MAX) chunks.push(chunk);
    else stream.close(constants.NGHTTP2_CANCEL);
  });
  stream.on("error", (error) => finish(failed(error)));
  stream.on("close", () => {
    if (received > RESPONSE_BYTES_MAX) {
      finish(failure(GRPC.resourceExhausted, "grpc: received message larger than max"));
      return;
    }
    finish(resultOf({ head, trailers, chunks, rstCode: stream.rstCode ?? 0 }));
  });
}

interface Received {
  readonly head: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly chunks: readonly Uint8Array[];
  readonly rstCode: number;
}

function resultOf({ head, trailers, chunks, rstCode }: Received): GrpcResult {
  const end = trailers["grpc-status"] === undefined ? head : trailers;
  const status = end["grpc-status"];
  if (typeof status !== "string") {
    const http = Number(head[":status"] ?? 0);
    if (http === 0) {
      return failure(codeOfReset(rstCode), "the connection ended before the response");
    }
    if (http !== 200) {
      return failure(
        grpcCodeOfHttp(http),
        `unexpected HTTP status code received from server: ${http}`,
      );
    }
    return failure(GRPC.internal, "server closed the stream without sending trailers");
  }
  const code = /^\d{1,3}$/.test(status) ? Number(status) : GRPC.unknown;
  const message = decodeGrpcMessage(String(end["grpc-message"] ?? ""));
  if (code !== GRPC.ok) {
    const details = end["grpc-status-details-bin"];
    const rich =
      typeof details === "string" ? decodeStatus(Buffer.from(details, "base64")) : undefined;
    const retryAfterMs = rich?.retryAfterMs;
    return retryAfterMs === undefined
      ? failure(code, message)
      : { code, message, retryAfterMs, body: NO_BYTES };
  }
  const framed = Buffer.concat(chunks);
  const isMessage =
    framed.length >= HEADER_BYTES && framed.readUInt32BE(1) === framed.length - HEADER_BYTES;
  if (!isMessage || framed[0] !== 0) {
    return failure(GRPC.internal, "the response is not one whole gRPC message");
  }
  return { code, message, body: framed.subarray(HEADER_BYTES) };
}

function failure(code: number, message: string): GrpcResult {
  return { code, message, body: NO_BYTES };
}

/** Codes for RST_STREAM by gRPC's table (PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping"). */
function codeOfReset(rstCode: number | undefined): number {
  switch (rstCode) {
    case constants.NGHTTP2_PROTOCOL_ERROR:
    case constants.NGHTTP2_INTERNAL_ERROR:
    case constants.NGHTTP2_FLOW_CONTROL_ERROR:
    case constants.NGHTTP2_FRAME_SIZE_ERROR:
    case constants.NGHTTP2_COMPRESSION_ERROR:
      return GRPC.internal;
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return GRPC.resourceExhausted;
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return GRPC.permissionDenied;
    default:
      return GRPC.unavailable;
  }
}

const DIAL_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect: connection refused",
  EHOSTUNREACH: "connect: no route to host",
  ENETUNREACH: "connect: network is unreachable",
  ETIMEDOUT: "i/o timeout",
  ENOTFOUND: "lookup: no such host",
};

function dialError(error: unknown, address: string): string {
  const origin = rootOf(error);
  const code = origin instanceof Error && "code" in origin ? String(origin.code) : "";
  return `dial tcp ${address}: ${DIAL_REASONS[code] ?? messageOf(origin)}`;
}

/** What lies under a stream's "canceled" and under the attempts on a name's addresses. */
function rootOf(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return rootOf(error.errors[0]);
  return error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || String(error) : String(error);
}
