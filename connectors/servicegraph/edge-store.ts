// SPDX-License-Identifier: Apache-2.0

export type ConnectionType = "" | "messaging_system" | "database" | "virtual_node";

/** What one end of a request says of it. */
export interface EdgeEnd {
  readonly service: string;
  readonly seconds: number;
  readonly isFailed: boolean;
  readonly isMessaging: boolean;
  /** In the order of the configuration's dimensions; undefined where the span has none. */
  readonly dimensions: readonly (string | undefined)[];
}

export interface ClientEnd extends EdgeEnd {
  /** Empty: no database. */
  readonly database: string;
  /** What names the other end if it sends no span; empty: nothing does. */
  readonly peer: string;
}

export interface ServerEnd extends EdgeEnd {
  /** Nobody's child. */
  readonly isRoot: boolean;
}

/** A request of which one end is known and the other is waited for. */
export interface Edge {
  readonly dueMs: number;
  readonly client?: ClientEnd;
  readonly server?: ServerEnd;
}

export interface EdgeStoreOptions {
  readonly ttlMs: number;
  readonly itemsMax: number;
  readonly onComplete: (client: ClientEnd, server: ServerEnd) => void;
  readonly onExpired: (edge: Edge) => void;
}

/** Brings client and server spans together: all wait equally long, so the first is due first. */
export class EdgeStore {
  readonly #options: EdgeStoreOptions;
  readonly #edges = new Map<string, Edge>();

  constructor(options: EdgeStoreOptions) {
    this.#options = options;
  }

  /** False when there is no room. `key` is trace and span id of the client span. */
  client(key: string, client: ClientEnd, nowMs: number): boolean {
    const known = this.#edges.get(key);
    if (known?.server === undefined) return this.#put(key, { client }, nowMs);
    this.#edges.delete(key);
    this.#options.onComplete(client, known.server);
    return true;
  }

  server(key: string, server: ServerEnd, nowMs: number): boolean {
    const known = this.#edges.get(key);
    if (known?.client === undefined) return this.#put(key, { server }, nowMs);
    this.#edges.delete(key);
    this.#options.onComplete(known.client, server);
    return true;
  }

  #put(key: string, end: Omit<Edge, "dueMs">, nowMs: number): boolean {
    const { itemsMax, ttlMs, onExpired } = this.#options;
    const known = this.#edges.get(key);
    if (known !== undefined) {
      // Two of one kind: the older one has had its time.
      this.#edges.delete(key);
      onExpired(known);
    } else if (this.#edges.size >= itemsMax) {
      this.expire(nowMs);
      if (this.#edges.size >= itemsMax) return false;
    }
    this.#edges.set(key, { ...end, dueMs: nowMs + ttlMs });
    return true;
  }

  /** What is due is told as expired. */
  expire(nowMs: number): void {
    for (const [key, edge] of this.#edges) {
      if (edge.dueMs > nowMs) return;
      this.#edges.delete(key);
      this.#options.onExpired(edge);
    }
  }
}
