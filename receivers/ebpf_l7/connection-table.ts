// SPDX-License-Identifier: Apache-2.0
import type { Connection } from "./connection.ts";

/** Of the table that are looked at for the longest idle one when it is full. */
const EVICTION_SAMPLE = 32;
const TWO_TO_21 = 0x20_0000;

/** The watched ends by socket cookie, and both ends of a connection by its name. Bounded. */
export class ConnectionTable {
  readonly #max: number;
  readonly #bySocket = new Map<number, Connection>();
  readonly #byName = new Map<number, Connection>();
  #last: Connection | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#bySocket.size;
  }

  get isFull(): boolean {
    return this.#bySocket.size >= this.#max;
  }

  get(socket: number): Connection | undefined {
    const last = this.#last;
    if (last !== undefined && last.record.socket === socket) return last;
    const found = this.#bySocket.get(socket);
    if (found !== undefined) this.#last = found;
    return found;
  }

  add(connection: Connection): void {
    this.#bySocket.set(connection.record.socket, connection);
    this.meet(connection);
  }

  /** Looks for the other end; again when the connection's role and with it its name is known. */
  meet(connection: Connection): void {
    const { localStart } = connection;
    if (localStart === undefined || connection.isNamed) return;
    connection.isNamed = true;
    const { remoteStart } = connection.record;
    const key = nameKey(localStart, remoteStart);
    const other = this.#byName.get(key);
    if (other === undefined || other === connection) {
      this.#byName.set(key, connection);
    } else if (other.localStart === remoteStart && other.record.remoteStart === localStart) {
      other.peer = connection;
      connection.peer = other;
    } else {
      this.#byName.set(key, connection);
    }
  }

  remove(connection: Connection): void {
    connection.isGone = true;
    connection.pool?.leave(connection);
    connection.pool = undefined;
    if (this.#last === connection) this.#last = undefined;
    this.#bySocket.delete(connection.record.socket);
    const { localStart, peer } = connection;
    if (localStart === undefined) return;
    const key = nameKey(localStart, connection.record.remoteStart);
    if (this.#byName.get(key) !== connection) return;
    if (peer === undefined || peer.isGone) this.#byName.delete(key);
    else this.#byName.set(key, peer);
  }

  /** Of the first few, which the table keeps in the order of their last move to its end. */
  longestIdle(): Connection | undefined {
    let found: Connection | undefined;
    let looked = 0;
    for (const connection of this.#bySocket.values()) {
      if (found === undefined || connection.lastNs < found.lastNs) found = connection;
      if (++looked >= EVICTION_SAMPLE) break;
    }
    return found;
  }

  /** Calls `visit` for at most `countMax` connections from the start, and moves them to the end. */
  sweep(countMax: number, visit: (connection: Connection) => void): void {
    let left = Math.min(countMax, this.#bySocket.size);
    for (const [socket, connection] of this.#bySocket) {
      if (left-- <= 0) return;
      this.#bySocket.delete(socket);
      this.#bySocket.set(socket, connection);
      visit(connection);
    }
  }

  *[Symbol.iterator](): IterableIterator<Connection> {
    yield* this.#bySocket.values();
  }
}

/** The same for both ends. Two names may share a key: the caller compares the names. */
function nameKey(localStart: number, remoteStart: number): number {
  const mixed = Math.imul(localStart ^ remoteStart, 0x9e37_79b1) >>> 0;
  return mixed * TWO_TO_21 + ((localStart + remoteStart) & (TWO_TO_21 - 1));
}
