// SPDX-License-Identifier: Apache-2.0
import {
  type Direction,
  type ExchangeEvents,
  type LossReason,
  RECEIVED,
  SENT,
} from "../model/protocol.ts";
import type { Frame } from "./frame-reader.ts";
import { failureName } from "./http1/errno.ts";
import type { ExchangeKey, ExchangePool, PooledExchange } from "./pooled-exchange.ts";

/** What a dialect does with the exchanges of its connection. Both ends may ask, each has its table. */
export interface Exchanges<Details> {
  /** Open exchanges, those whose request is under way included. */
  readonly count: number;
  /**
   * Begins an exchange with this frame, at its `started` or `ended`. With a key it stays open until
   * `end`; an older one of the same key and direction is given up, for its response was lost.
   * Without a key it is a message that nobody answers: end it when its frame ends.
   * The oldest is given up (`pipeline_limit`) when too many are open.
   */
  begin(frame: Frame<Details>, key: ExchangeKey | undefined): PooledExchange<Details>;
  /** The open exchange whose request went the `asker` way. */
  find(asker: Direction, key: ExchangeKey): PooledExchange<Details> | undefined;
  /** The oldest open exchange whose request went the `asker` way. */
  oldest(asker: Direction): PooledExchange<Details> | undefined;
  /** The response's first byte, if it is the first of its response. */
  answer(exchange: PooledExchange<Details>, frame: Frame<Details>): void;
  /** A span. The exchange must not be used after it. */
  end(exchange: PooledExchange<Details>, endNs: number): void;
  /** No span. The exchange must not be used after it. */
  abandon(exchange: PooledExchange<Details>, reason: LossReason): void;
  /** Of all whose request went the `asker` way, or of all. */
  abandonAll(reason: LossReason, asker?: Direction): void;
}

export function opposite(direction: Direction): Direction {
  return direction === RECEIVED ? SENT : RECEIVED;
}

/** What is open on one connection, by direction and key. */
export class ExchangeTable<Details> implements Exchanges<Details> {
  readonly #pool: ExchangePool<Details>;
  readonly #events: ExchangeEvents;
  readonly #openMax: number;
  readonly #received = new Map<ExchangeKey, PooledExchange<Details>>();
  readonly #sent = new Map<ExchangeKey, PooledExchange<Details>>();
  /** Open without a key: at most the frame under way of each direction. */
  #unnamed = 0;
  /** An exchange ended without its response. */
  hasGivenUp = false;

  constructor(pool: ExchangePool<Details>, events: ExchangeEvents, openMax: number) {
    this.#pool = pool;
    this.#events = events;
    this.#openMax = openMax;
  }

  get count(): number {
    return this.#received.size + this.#sent.size + this.#unnamed;
  }

  begin(frame: Frame<Details>, key: ExchangeKey | undefined): PooledExchange<Details> {
    const open = this.#of(frame.direction);
    if (key !== undefined) {
      const before = open.get(key);
      if (before !== undefined) this.abandon(before, "gap");
    }
    if (this.count >= this.#openMax) this.#giveUpOldest(frame.direction);
    const exchange = this.#pool.take(frame);
    exchange.key = key;
    if (key === undefined) this.#unnamed++;
    else open.set(key, exchange);
    frame.exchange = exchange;
    exchange.frame = frame;
    this.#events.begin(exchange);
    return exchange;
  }

  find(asker: Direction, key: ExchangeKey): PooledExchange<Details> | undefined {
    return this.#of(asker).get(key);
  }

  oldest(asker: Direction): PooledExchange<Details> | undefined {
    for (const exchange of this.#of(asker).values()) return exchange;
    return undefined;
  }

  answer(exchange: PooledExchange<Details>, frame: Frame<Details>): void {
    if (exchange.responseStartNs !== 0) return;
    exchange.responseStartNs = frame.startNs;
    exchange.responseTid = frame.tid;
  }

  end(exchange: PooledExchange<Details>, endNs: number): void {
    exchange.endNs = endNs;
    if (exchange.requestEndNs === 0) exchange.requestEndNs = exchange.startNs;
    this.#remove(exchange);
    this.#events.end(exchange);
    this.#pool.give(exchange);
  }

  abandon(exchange: PooledExchange<Details>, reason: LossReason): void {
    this.hasGivenUp = true;
    this.#remove(exchange);
    this.#events.abandon(exchange, reason);
    this.#pool.give(exchange);
  }

  abandonAll(reason: LossReason, asker?: Direction): void {
    for (const direction of [RECEIVED, SENT] as const) {
      if (asker !== undefined && asker !== direction) continue;
      for (const exchange of this.#of(direction).values()) this.abandon(exchange, reason);
    }
  }

  /** Bytes that went against `asker`'s requests are lost: any of these may have been answered. */
  doubt(asker: Direction): void {
    for (const exchange of this.#of(asker).values()) exchange.doubtful = true;
  }

  /** The connection's end: what was certainly not answered is a span that says so. */
  close(timeNs: number, error: number): void {
    for (const direction of [RECEIVED, SENT] as const) {
      for (const exchange of this.#of(direction).values()) {
        if (exchange.doubtful) this.abandon(exchange, "gap");
        else if (exchange.requestEndNs === 0) this.abandon(exchange, "malformed");
        else {
          if (!exchange.answerOptional) exchange.errorType = failureName(error);
          this.end(exchange, timeNs);
        }
      }
    }
  }

  #of(direction: Direction): Map<ExchangeKey, PooledExchange<Details>> {
    return direction === RECEIVED ? this.#received : this.#sent;
  }

  #remove(exchange: PooledExchange<Details>): void {
    if (exchange.frame !== undefined) exchange.frame.exchange = undefined;
    exchange.frame = undefined;
    if (exchange.key === undefined) this.#unnamed--;
    else this.#of(exchange.asker).delete(exchange.key);
  }

  /** First of those that go the same way: requests of the other end are not its fault. */
  #giveUpOldest(direction: Direction): void {
    const oldest = this.oldest(direction) ?? this.oldest(opposite(direction));
    if (oldest !== undefined) this.abandon(oldest, "pipeline_limit");
  }
}
