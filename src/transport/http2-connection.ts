// SPDX-License-Identifier: Apache-2.0
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";

export interface ConnectionEvents {
  /** The peer has spoken HTTP/2. */
  seen(): void;
  /** No more calls can be made on it. Called once; `error` is undefined after an orderly end. */
  ended(error: unknown): void;
}

/** Pings of a client that has calls open, or of any. */
export interface ClientKeepalive {
  /** Between two pings; 0 is none. */
  readonly timeMs: number;
  /** Without an answer for so long the connection is over. */
  readonly timeoutMs: number;
  readonly permitWithoutStream: boolean;
}

export interface ConnectionTarget {
  readonly origin: string;
  readonly tls: ConnectionOptions | undefined;
  readonly keepalive: ClientKeepalive | undefined;
}

const INITIAL_WINDOW_BYTES = 1024 * 1024;
const CONNECT_TIMEOUT_MS = 20_000;
const PING_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;

/** One HTTP/2 connection of a client, and everything that says that it is over. */
export class Http2Connection {
  readonly session: ClientHttp2Session;
  /** True once the peer has spoken HTTP/2. */
  isSeen = false;
  readonly #events: ConnectionEvents;
  readonly #timer: NodeJS.Timeout;
  #keepalive: NodeJS.Timeout | undefined;
  #calls = 0;
  #socket: Socket | undefined;
  #hasEnded = false;

  constructor({ origin, tls, keepalive }: ConnectionTarget, events: ConnectionEvents) {
    this.#events = events;
    this.session = connect(origin, {
      ...tls,
      settings: { enablePush: false, initialWindowSize: INITIAL_WINDOW_BYTES },
    });
    this.#timer = setTimeout(() => this.destroy(new Error("i/o timeout")), CONNECT_TIMEOUT_MS);
    this.session.once("connect", (_, socket) => {
      this.#socket = socket;
    });
    this.session.once("remoteSettings", () => {
      this.isSeen = true;
      clearTimeout(this.#timer);
      if (keepalive !== undefined && keepalive.timeMs > 0) this.#keepAlive(keepalive);
      events.seen();
    });
    this.session.on("error", (error) => this.#end(error));
    this.session.on("close", () => this.#end(undefined));
    this.session.on("goaway", () => {
      this.#end(undefined);
      this.session.close();
    });
  }

  get isUsable(): boolean {
    return !this.#hasEnded && !this.session.closed && !this.session.destroyed;
  }

  /**
   * A call failed on it. True when the whole connection has: a session that its TLS layer
   * destroyed (the server wants a certificate) does not say so itself and keeps its socket.
   */
  failedWith(error: unknown): boolean {
    if (!this.session.destroyed) return !this.isSeen;
    this.#socket?.destroy();
    this.#end(error);
    return true;
  }

  /** Makes a call. Throws when it cannot. */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.session.request(headers);
    this.#calls++;
    stream.once("close", () => this.#calls--);
    return stream;
  }

  #keepAlive({ timeMs, timeoutMs, permitWithoutStream }: ClientKeepalive): void {
    this.#keepalive = setInterval(() => {
      if (this.#calls > 0 || permitWithoutStream) this.probe(timeoutMs);
    }, timeMs).unref();
  }

  /** Is anybody there? A silent connection is dropped. */
  probe(timeoutMs: number = PING_TIMEOUT_MS): void {
    const { session } = this;
    if (!this.isUsable || session.connecting) return;
    const timer = setTimeout(() => this.destroy(new Error("no answer to a ping")), timeoutMs);
    timer.unref();
    if (!session.ping(() => clearTimeout(timer))) clearTimeout(timer);
  }

  /** Ends it after the open calls; when the other end does not play along, after a moment. */
  close(): void {
    if (this.session.connecting) {
      this.destroy(undefined);
      return;
    }
    this.session.close();
    const timer = setTimeout(() => this.destroy(undefined), CLOSE_TIMEOUT_MS).unref();
    this.#socket?.once("close", () => clearTimeout(timer));
  }

  destroy(error: Error | undefined): void {
    if (error === undefined) this.session.destroy();
    else this.session.destroy(error);
    this.#socket?.destroy();
    this.#end(error);
  }

  #end(error: unknown): void {
    clearTimeout(this.#timer);
    clearInterval(this.#keepalive);
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#events.ended(error);
  }
}
