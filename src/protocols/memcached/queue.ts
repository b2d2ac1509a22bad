// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, ExchangeEvents, LossReason } from "../../model/protocol.ts";
import { responded } from "../database/exchange.ts";
import { Fifo } from "../fifo.ts";
import { failureName } from "../http1/errno.ts";
import type { MemcachedExchange, MemcachedShared } from "./exchange.ts";

/** What is open on one connection, in order; quiet commands may be passed over. */
export class CommandQueue {
  readonly #shared: MemcachedShared;
  readonly #events: ExchangeEvents;
  readonly #open = new Fifo<MemcachedExchange>();
  /** The command that is being sent: always the newest. */
  sending: MemcachedExchange | undefined = undefined;

  constructor(shared: MemcachedShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
  }

  get count(): number {
    return this.#open.count;
  }

  /** The oldest that was sent in whole. */
  get first(): MemcachedExchange | undefined {
    const first = this.#open.first;
    return first === this.sending ? undefined : first;
  }

  /** False when too many are open. */
  begin(record: DataRecord, position: number): boolean {
    const { pool, options } = this.#shared;
    if (this.#open.count >= options.pipelinedMax) return false;
    const { direction, timeNs: startNs, pid, tid } = record;
    const exchange = pool.take({ direction, position, startNs, pid, tid });
    this.sending = exchange;
    this.#open.push(exchange);
    this.#events.begin(exchange);
    return true;
  }

  /** Sent in whole, and nothing will answer it. */
  endUnanswered(timeNs: number): void {
    const exchange = this.sending;
    if (exchange === undefined) return;
    this.sending = undefined;
    this.#open.pop();
    exchange.endNs = timeNs;
    this.#events.end(exchange);
    this.#shared.pool.give(exchange);
  }

  /** It was no operation, or it is not known what was sent. */
  takeBack(reason: LossReason): void {
    const exchange = this.sending;
    if (exchange === undefined) return;
    this.sending = undefined;
    this.#open.pop();
    this.#abandon(exchange, reason);
  }

  /** The first command that a response may answer, all quiet ones before it being over. */
  match(answers: (exchange: MemcachedExchange) => boolean, record: DataRecord): boolean {
    let index = 0;
    for (; ; index++) {
      const candidate = this.#open.at(index);
      if (candidate === undefined || candidate === this.sending) return false;
      if (answers(candidate)) break;
      if (!candidate.details.state.isQuiet) return false;
    }
    for (; index > 0; index--) this.finish(record.timeNs);
    const front = this.#open.first;
    if (front !== undefined) responded(front, record);
    return true;
  }

  /** The oldest has its response, or needs none any more. */
  finish(timeNs: number): void {
    const front = this.#open.shift();
    if (front === undefined) return;
    front.endNs = timeNs;
    this.#events.end(front);
    this.#shared.pool.give(front);
  }

  #abandon(exchange: MemcachedExchange, reason: LossReason): void {
    this.#events.abandon(exchange, reason);
    this.#shared.pool.give(exchange);
  }

  abandonAll(reason: LossReason): void {
    this.sending = undefined;
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      this.#abandon(next, reason);
    }
  }

  close(timeNs: number, error: number): void {
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      next.endNs = timeNs;
      if (!next.details.state.isQuiet) next.errorType = failureName(error);
      this.#events.end(next);
      this.#shared.pool.give(next);
    }
  }
}
