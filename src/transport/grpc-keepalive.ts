// SPDX-License-Identifier: Apache-2.0
import { constants, type ServerHttp2Session } from "node:http2";

/** What gRPC servers do about connections; an infinite time is never. */
export interface ServerKeepalive {
  /** Without a call for so long a connection is ended. */
  readonly maxIdleMs: number;
  /** After so long it is ended, with a tenth more or less, so that not all end at once. */
  readonly maxAgeMs: number;
  /** Calls that are open then have so long. */
  readonly maxAgeGraceMs: number;
  /** Between two pings of ours. */
  readonly pingEveryMs: number;
  readonly pingTimeoutMs: number;
  /** Clients may ping no more often; 0 is as often as they like. */
  readonly clientPingMinMs: number;
  /** Also while they have no call open. */
  readonly clientPingsWithoutCalls: boolean;
}

const AGE_SPREAD = 0.1;
/** gRPC's: without a call a client may ping once in two hours. */
const QUIET_PING_MIN_MS = 2 * 60 * 60 * 1000;
/** So many pings too many are let pass, as other servers do. */
const STRIKES_MAX = 2;
const TOO_MANY_PINGS = Buffer.from("too_many_pings");

export interface KeeperOptions {
  readonly keepalive: ServerKeepalive | undefined;
  /** Who has not spoken HTTP/2 after so long is cut off. */
  readonly helloTimeoutMs: number;
}

/** Ends one connection when its time has come. `check` is called about once a second. */
export class SessionKeeper {
  readonly #session: ServerHttp2Session;
  readonly #config: ServerKeepalive | undefined;
  readonly #ageEndMs: number;
  #helloByMs: number;
  #calls = 0;
  #idleSinceMs: number;
  #pingDueMs: number;
  #pingSentMs: number | undefined;
  #clientPingMs = Number.NEGATIVE_INFINITY;
  #strikes = 0;

  constructor(session: ServerHttp2Session, options: KeeperOptions) {
    const nowMs = performance.now();
    const { keepalive: config } = options;
    this.#session = session;
    this.#config = config;
    this.#helloByMs = nowMs + options.helloTimeoutMs;
    session.once("remoteSettings", () => {
      this.#helloByMs = Number.POSITIVE_INFINITY;
    });
    this.#idleSinceMs = nowMs;
    const spread = 1 + AGE_SPREAD * (2 * Math.random() - 1);
    this.#ageEndMs = nowMs + (config?.maxAgeMs ?? Number.POSITIVE_INFINITY) * spread;
    this.#pingDueMs = nowMs + (config?.pingEveryMs ?? Number.POSITIVE_INFINITY);
    if (config !== undefined && config.clientPingMinMs > 0) {
      session.on("ping", () => this.#onClientPing(config, performance.now()));
    }
  }

  callBegins(): void {
    this.#calls++;
  }

  callEnds(): void {
    this.#calls--;
    this.#idleSinceMs = performance.now();
  }

  check(nowMs: number): void {
    const config = this.#config;
    if (this.#session.destroyed) return;
    const graceMs = config?.maxAgeGraceMs ?? Number.POSITIVE_INFINITY;
    if (nowMs > this.#helloByMs || nowMs > this.#ageEndMs + graceMs) {
      this.#session.destroy();
      return;
    }
    if (config === undefined) return;
    const isIdle = this.#calls === 0 && nowMs > this.#idleSinceMs + config.maxIdleMs;
    if (isIdle || nowMs > this.#ageEndMs) this.#session.close();
    this.#ping(config, nowMs);
  }

  #ping(config: ServerKeepalive, nowMs: number): void {
    if (this.#pingSentMs !== undefined) {
      if (nowMs > this.#pingSentMs + config.pingTimeoutMs) this.#session.destroy();
      return;
    }
    if (nowMs < this.#pingDueMs || this.#session.closed) return;
    this.#pingSentMs = nowMs;
    this.#session.ping(() => {
      this.#pingSentMs = undefined;
      this.#pingDueMs = performance.now() + config.pingEveryMs;
    });
  }

  #onClientPing(config: ServerKeepalive, nowMs: number): void {
    const isQuiet = this.#calls === 0 && !config.clientPingsWithoutCalls;
    const minMs = isQuiet ? QUIET_PING_MIN_MS : config.clientPingMinMs;
    const isEarly = nowMs - this.#clientPingMs < minMs;
    this.#clientPingMs = nowMs;
    if (!isEarly || ++this.#strikes <= STRIKES_MAX || this.#session.destroyed) return;
    this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, TOO_MANY_PINGS);
    this.#session.close();
  }
}
