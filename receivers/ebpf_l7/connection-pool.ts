// SPDX-License-Identifier: Apache-2.0
import type { Connection } from "./connection.ts";

/** Pools remembered; further connections have none. */
const POOLS_MAX = 65_536;
/**
 * A pool at its limit has all connections busy nearly all of the time; one without a limit only
 * until it grows. Over which time the share is taken, and from which on it is a limit.
 */
const SHARE_NS = 100e6;
const FULL_SHARE_MIN = 0.1;

/** The connections of one process to one server, as far as they were seen to ask. */
export class ConnectionPool {
  readonly #onEmpty: () => void;
  #connections = 0;
  /** Those with an exchange that is open. */
  #busy = 0;
  /** So many calls for each incoming request were seen in flight at once. */
  #fanOut = 1;
  /** Share of the last time in which all connections were busy. */
  #fullShare = 1;
  #lastNs = 0;
  /** The most connections that it had. */
  #peak = 0;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  get connections(): number {
    return this.#connections;
  }

  join(): void {
    this.#connections++;
    this.#peak = Math.max(this.#peak, this.#connections);
  }

  /** Has it been larger than `connections` at any time? Then that was not its limit. */
  hasGrownBeyond(connections: number): boolean {
    return this.#peak > connections;
  }

  leave(connection: Connection): void {
    if (connection.isBusy) this.setBusy(connection, false, this.#lastNs);
    this.#connections--;
    if (this.#connections === 0) this.#onEmpty();
  }

  /** `nowNs`: the clock of the records. */
  setBusy(connection: Connection, isBusy: boolean, nowNs: number): void {
    if (connection.isBusy === isBusy) return;
    this.#pass(nowNs);
    connection.isBusy = isBusy;
    this.#busy += isBusy ? 1 : -1;
  }

  /** A call is about to be counted; `requests` incoming ones are open in the process. */
  observe(requests: number): void {
    if (requests > 0) this.#fanOut = Math.max(this.#fanOut, Math.ceil(this.#busy / requests));
  }

  #pass(nowNs: number): void {
    const share = Math.min(1, Math.max(0, nowNs - this.#lastNs) / SHARE_NS);
    if (this.#lastNs !== 0) {
      this.#fullShare += ((this.#busy >= this.#connections ? 1 : 0) - this.#fullShare) * share;
    }
    this.#lastNs = Math.max(this.#lastNs, nowNs);
  }

  /**
   * May a call have waited for the connection that it is written on? All others are busy, and they
   * are fewer than the calls that the open requests may want at once.
   */
  mayQueue(connection: Connection, requests: number): boolean {
    const isTooSmall = requests * this.#fanOut > this.#connections;
    return isTooSmall && this.#fullShare >= FULL_SHARE_MIN && this.#isFull(connection);
  }

  #isFull(connection: Connection): boolean {
    return this.#busy - (connection.isBusy ? 1 : 0) >= this.#connections - 1;
  }
}

/** By process and server. */
export class ConnectionPools {
  readonly #pools = new Map<string, ConnectionPool>();

  /** Undefined for datagrams, which nobody waits to send, and beyond the bound. */
  of({ record }: Connection): ConnectionPool | undefined {
    if (record.isDatagram) return undefined;
    const key = `${record.pid} ${record.remoteAddress} ${record.remotePort}`;
    let pool = this.#pools.get(key);
    if (pool === undefined && this.#pools.size < POOLS_MAX) {
      pool = new ConnectionPool(() => this.#pools.delete(key));
      this.#pools.set(key, pool);
    }
    pool?.join();
    return pool;
  }
}
