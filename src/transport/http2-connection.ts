// SPDX-License-Identifier: Apache-2.0
import { type ClientHttp2Session, connect } from "node:http2";
import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";

export interface ConnectionEvents {
  /** The peer has spoken HTTP/2. */
  seen(): void;
  /** No more calls can be made on it. Called once; `error` is undefined after an orderly end. */
  ended(error: unknown): void;
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
  #socket: Socket | undefined;
  #hasEnded = false;

  constructor(origin: string, tls: ConnectionOptions | undefined, events: ConnectionEvents) {
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

  /** Is anybody there? A silent connection is dropped. */
  probe(): void {
    const { session } = this;
    if (!this.isUsable || session.connecting) return;
    const timer = setTimeout(() => this.destroy(new Error("no answer to a ping")), PING_TIMEOUT_MS);
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
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#events.ended(error);
  }
}
