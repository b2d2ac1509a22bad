// SPDX-License-Identifier: Apache-2.0
import type { Connection } from "./connection.ts";

/** Pools remembered; further connections have none. */
const POOLS_MAX = 65_536;
/** So many calls found a pool full, and it did not grow: it has a limit. */
const FULL_CALLS_MIN = 8;

/** The connections of one process to one server, as far as they were seen to ask. */
export class ConnectionPool {
  readonly #onEmpty: () => void;
  #connections = 0;
  /** Those with an exchange that is open. */
  #busy = 0;
  /** So many calls for each incoming request were seen in flight at once. */
  #fanOut = 1;
  /** The most connections that it had, and calls that found all of so many busy. */
  #peak = 0;
  #fullCalls = 0;
  /** The runtime said of a call that it had waited for a connection of this pool. */
  isKnownToQueue = false;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  get connections(): number {
    return this.#connections;
  }

  join(): void {
    this.#connections++;
    if (this.#connections <= this.#peak) return;
    this.#peak = this.#connections;
    this.#fullCalls = 0;
  }

  /** Has it been larger than `connections` at any time? Then that was not its limit. */
  hasGrownBeyond(connections: number): boolean {
    return this.#peak > connections;
  }

  leave(connection: Connection): void {
    this.setBusy(connection, false);
    this.#connections--;
    if (this.#connections === 0) this.#onEmpty();
  }

  setBusy(connection: Connection, isBusy: boolean): void {
    if (connection.isBusy === isBusy) return;
    connection.isBusy = isBusy;
    this.#busy += isBusy ? 1 : -1;
  }

  /**
   * May the call that `connection` now carries have waited for it? All others are busy, and they
   * are fewer than the `requests` that are open in the process, or than what these may call at once.
   * To be asked once for each call, before it is counted.
   */
  mayQueue(connection: Connection, requests: number): boolean {
    if (requests > 0) this.#fanOut = Math.max(this.#fanOut, Math.ceil(this.#busy / requests));
    const othersBusy = this.#busy - (connection.isBusy ? 1 : 0);
    if (othersBusy < this.#connections - 1) return false;
    this.#fullCalls++;
    if (requests > this.#connections) return true;
    return this.#fullCalls >= FULL_CALLS_MIN && requests * this.#fanOut > this.#connections;
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
