// SPDX-License-Identifier: Apache-2.0
import type { HttpExchange } from "../http/exchange.ts";

/** The open exchanges of a connection in the order of their requests. */
export class ExchangeQueue {
  first: HttpExchange | undefined = undefined;
  count = 0;
  #last: HttpExchange | undefined = undefined;

  push(exchange: HttpExchange): void {
    if (this.#last === undefined) this.first = exchange;
    else this.#last.next = exchange;
    this.#last = exchange;
    this.count++;
  }

  shift(): void {
    const first = this.first;
    if (first === undefined) return;
    this.first = first.next;
    first.next = undefined;
    if (this.first === undefined) this.#last = undefined;
    this.count--;
  }

  removeLast(): void {
    const last = this.#last;
    if (last === undefined) return;
    let before = this.first;
    while (before !== undefined && before.next !== last) before = before.next;
    if (before === undefined) this.first = undefined;
    else before.next = undefined;
    this.#last = before;
    this.count--;
  }
}
