// SPDX-License-Identifier: Apache-2.0
import {
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { TlsOptions } from "node:tls";
import type { ServerAuthenticator } from "../component/auth.ts";
import { closeServer } from "./close-server.ts";
import { DECODINGS, type Decompressed, decompress, grpcEncoding } from "./compression.ts";
import { frameMessage, HEADER_BYTES } from "./grpc-frame.ts";
import { type ServerKeepalive, SessionKeeper } from "./grpc-keepalive.ts";
import {
  encodeGrpcMessage,
  encodeStatus,
  GRPC,
  type GrpcStatus,
  parseGrpcTimeout,
} from "./grpc-status.ts";
import { type ListenAddress, listen } from "./listen.ts";

/** Ends a call. `body` is the response message when the code is OK. */
export type Reply = (status: GrpcStatus, body?: Uint8Array) => void;

/** Who sent a request, and how. */
export interface CallPeer {
  /** IP address of the other end, empty where it has none. */
  readonly sender: string;
  readonly headers: IncomingHttpHeaders;
}

/** Takes one request message and calls `reply` once, now or later. */
export type UnaryHandler = (message: Uint8Array, reply: Reply, peer: CallPeer) => void;

export interface GrpcServerOptions {
  readonly address: ListenAddress;
  readonly tls: TlsOptions | undefined;
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, UnaryHandler>;
  /** Of one message, after decompression. */
  readonly messageBytesMax: number;
  readonly concurrentStreamsMax: number;
  /** Of all open requests together; more are refused as unavailable. */
  readonly openBytesMax: number;
  /** A request that has not arrived after this time is given up. */
  readonly receiveTimeoutMs: number;
  /** Who is let in; everybody when undefined. */
  readonly authenticator?: Pick<ServerAuthenticator, "authenticate"> | undefined;
  readonly keepalive?: ServerKeepalive | undefined;
}

const INITIAL_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
const HEADER_LIST_BYTES_MAX = 16 * 1024;
const SWEEP_MS = 1_000;
const CONTENT_TYPE = "application/grpc";
const ACCEPT_ENCODING = "identity,gzip,zstd,snappy";

export const OK: GrpcStatus = { code: GRPC.ok, message: "" };

/** A gRPC server for unary methods, framed by hand on HTTP/2. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #server: Http2Server;
  readonly #sessions = new Map<Http2Session, SessionKeeper>();
  /** Also those that never became a session. */
  readonly #sockets = new Set<Socket>();
  readonly #calls = new Set<Call>();
  #sweep: NodeJS.Timeout | undefined;
  #openBytes = 0;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const settings = {
      settings: {
        initialWindowSize: INITIAL_WINDOW_BYTES,
        maxConcurrentStreams: options.concurrentStreamsMax,
        maxHeaderListSize: HEADER_LIST_BYTES_MAX,
      },
    };
    this.#server =
      options.tls === undefined
        ? createServer(settings)
        : createSecureServer({ ...settings, ...options.tls });
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("session", (session) => this.#open(session));
    this.#server.on("stream", (stream, headers) => this.#call(stream, headers));
    // A peer that does not speak HTTP/2 or TLS: its connection ends, nothing else.
    this.#server.on("sessionError", () => undefined);
  }

  /** Gives the port. Rejects with an `AgentError` when the address cannot be listened on. */
  async start(): Promise<number> {
    const port = await listen(this.#server, this.#options.address);
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS);
    return port;
  }

  /** Takes no new calls, finishes open ones until `signal` aborts. */
  async shutdown(signal: AbortSignal): Promise<void> {
    await closeServer({
      server: this.#server,
      signal,
      end: () => {
        for (const session of this.#sessions.keys()) session.close();
      },
      isBusy: () => this.#calls.size > 0,
      cut: () => {
        for (const session of this.#sessions.keys()) session.destroy();
        for (const socket of this.#sockets) socket.destroy();
      },
    });
    clearInterval(this.#sweep);
  }

  #open(session: ServerHttp2Session): void {
    const { keepalive, receiveTimeoutMs: helloTimeoutMs } = this.#options;
    this.#sessions.set(session, new SessionKeeper(session, { keepalive, helloTimeoutMs }));
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    session.on("close", () => this.#sessions.delete(session));
    session.on("error", () => undefined);
  }

  #call(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on("error", () => undefined);
    const type = headers["content-type"] ?? "";
    if (headers[":method"] !== "POST" || !type.startsWith(CONTENT_TYPE)) {
      const status = headers[":method"] === "POST" ? 415 : 405;
      stream.respond({ ":status": status }, { endStream: true });
      return;
    }
    const call = new Call(stream, headers, this.#options, (bytes) => {
      this.#openBytes += bytes;
      return this.#openBytes <= this.#options.openBytesMax;
    });
    this.#calls.add(call);
    const { session } = stream;
    const keeper = session === undefined ? undefined : this.#sessions.get(session);
    keeper?.callBegins();
    stream.on("close", () => {
      keeper?.callEnds();
      this.#calls.delete(call);
      call.release();
    });
  }

  #expire(): void {
    const nowMs = performance.now();
    for (const call of this.#calls) call.expire(nowMs);
    for (const keeper of this.#sessions.values()) keeper.check(nowMs);
  }
}

class Call {
  readonly #stream: ServerHttp2Stream;
  readonly #options: GrpcServerOptions;
  readonly #headers: IncomingHttpHeaders;
  readonly #encoding: string;
  readonly #handler: UnaryHandler | undefined;
  readonly #path: string;
  readonly #reserve: (bytes: number) => boolean;
  readonly #deadlineMs: number;
  readonly #receiveByMs: number;
  readonly #admitted: Promise<boolean> | undefined;
  #chunks: Uint8Array[] = [];
  #received = 0;
  #done = false;
  #arrived = false;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: GrpcServerOptions,
    reserve: (bytes: number) => boolean,
  ) {
    this.#stream = stream;
    this.#options = options;
    this.#reserve = reserve;
    this.#headers = headers;
    this.#path = headers[":path"] ?? "";
    this.#handler = options.methods.get(this.#path);
    this.#encoding = String(headers["grpc-encoding"] ?? "identity");
    const timeout = headers["grpc-timeout"];
    const timeoutMs = parseGrpcTimeout(typeof timeout === "string" ? timeout : undefined);
    const nowMs = performance.now();
    this.#deadlineMs = nowMs + (timeoutMs ?? Number.POSITIVE_INFINITY);
    this.#receiveByMs = nowMs + options.receiveTimeoutMs;
    if (this.#handler === undefined) {
      this.#end({ code: GRPC.unimplemented, message: unknownMethod(this.#path) });
      return;
    }
    stream.on("data", (chunk: Uint8Array) => this.#data(chunk));
    stream.on("end", () => this.#complete());
    this.#admitted = options.authenticator
      ?.authenticate((name) => headerOf(headers, name))
      .then((denied) => {
        if (denied === undefined) return true;
        this.#end({ code: GRPC.unauthenticated, message: denied });
        return false;
      });
  }

  expire(nowMs: number): void {
    if (this.#done) return;
    if (nowMs > this.#deadlineMs || (!this.#arrived && nowMs > this.#receiveByMs)) {
      this.#end({ code: GRPC.deadlineExceeded, message: "context deadline exceeded" });
    }
  }

  /** Gives back what the request's bytes reserved. */
  release(): void {
    this.#done = true;
    this.#reserve(-this.#received);
    this.#received = 0;
    this.#chunks = [];
  }

  #data(chunk: Uint8Array): void {
    if (this.#done) return;
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    if (!this.#reserve(chunk.length)) {
      this.#end({ code: GRPC.unavailable, message: "too many requests are open" });
      return;
    }
    const max = this.#options.messageBytesMax;
    if (this.#received > max + HEADER_BYTES) this.#refuseLength(this.#received - HEADER_BYTES);
  }

  #refuseLength(length: number): void {
    this.#end({
      code: GRPC.resourceExhausted,
      message: `grpc: received message larger than max (${length} vs. ${this.#options.messageBytesMax})`,
    });
  }

  #complete(): void {
    if (this.#done) return;
    this.#arrived = true;
    // An exact copy: the chunks are views of larger socket buffers, which a queue would keep.
    const framed = Buffer.concat(this.#chunks, this.#received);
    this.#chunks = [];
    const length = framed.length < HEADER_BYTES ? -1 : framed.readUInt32BE(1);
    if (length > this.#options.messageBytesMax) {
      this.#refuseLength(length);
      return;
    }
    if (length !== framed.length - HEADER_BYTES) {
      this.#end({ code: GRPC.internal, message: "the request is not one whole gRPC message" });
      return;
    }
    const message = framed.subarray(HEADER_BYTES);
    const flag = framed[0];
    if (flag === 0) this.#handle(message);
    else if (flag === 1) this.#decompress(message);
    else this.#end({ code: GRPC.internal, message: `grpc: unexpected compression flag ${flag}` });
  }

  #decompress(message: Uint8Array): void {
    const encoding = grpcEncoding(this.#encoding);
    if (!DECODINGS.includes(encoding)) {
      const isIdentity = this.#encoding === "identity";
      this.#end(
        isIdentity
          ? {
              code: GRPC.internal,
              message: "grpc: compressed flag set with identity or empty encoding",
            }
          : {
              code: GRPC.unimplemented,
              message: `grpc: Decompressor is not installed for grpc-encoding "${this.#encoding}"`,
            },
      );
      return;
    }
    const result = decompress(encoding, message, this.#options.messageBytesMax);
    if (result instanceof Promise) void result.then((later) => this.#decompressed(later));
    else this.#decompressed(result);
  }

  #decompressed(result: Decompressed): void {
    if (this.#done) return;
    if (result.ok) {
      this.#handle(result.bytes);
      return;
    }
    const max = this.#options.messageBytesMax;
    this.#end(
      result.tooLarge
        ? {
            code: GRPC.resourceExhausted,
            message: `grpc: received message after decompression larger than max ${max}`,
          }
        : {
            code: GRPC.internal,
            message: `grpc: failed to decompress the received message: ${result.message}`,
          },
    );
  }

  #handle(message: Uint8Array): void {
    if (this.#admitted === undefined) {
      this.#give(message);
      return;
    }
    void this.#admitted.then((isAdmitted) => {
      if (!isAdmitted || this.#done) return;
      this.#give(message);
    });
  }

  #give(message: Uint8Array): void {
    const sender = this.#stream.session?.socket.remoteAddress ?? "";
    const peer = { sender, headers: this.#headers };
    this.#handler?.(message, (status, body) => this.#end(status, body), peer);
  }

  #end(status: GrpcStatus, body: Uint8Array = NO_BYTES): void {
    if (this.#done) return;
    this.#done = true;
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    if (status.code !== GRPC.ok) {
      stream.respond({ ...RESPONSE, ...trailersOf(status) }, { endStream: true });
      // The rest of a request that is refused early is not read.
      if (!this.#arrived) stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    stream.respond(RESPONSE, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(frameMessage([body], { compressed: false }));
  }
}

const NO_BYTES = new Uint8Array(0);

const RESPONSE = {
  ":status": 200,
  "content-type": CONTENT_TYPE,
  "grpc-accept-encoding": ACCEPT_ENCODING,
};

function trailersOf(status: GrpcStatus): Record<string, string> {
  const trailers: Record<string, string> = {
    "grpc-status": String(status.code),
    "grpc-message": encodeGrpcMessage(status.message),
  };
  if (status.retryAfterMs !== undefined) {
    const details = Buffer.from(encodeStatus(status)).toString("base64");
    trailers["grpc-status-details-bin"] = details.replace(/=+$/, "");
  }
  return trailers;
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function unknownMethod(path: string): string {
  const [, service = "", method = ""] = path.split("/");
  return method === "" ? `malformed method name: "${path}"` : `unknown service ${service}`;
}
