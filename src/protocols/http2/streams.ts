// SPDX-License-Identifier: Apache-2.0
import type { HttpExchange } from "../http/exchange.ts";

/** One stream of a connection with the exchange on it. Pooled: `reset` makes it new. */
export class Stream {
  id = 0;
  exchange: HttpExchange;
  /** The request's header block was read, whatever could be known of it. */
  hasRequest = false;
  requestEnded = false;
  /** A final response's header block was read. */
  hasResponse = false;
  /** Frames of the response were not seen: its end may have been among them. */
  doubtful = false;
  /** Bytes of the bodies; NaN when some were not seen. */
  requestBytes = 0;
  responseBytes = 0;
  hasRequestData = false;
  hasResponseData = false;

  constructor(exchange: HttpExchange) {
    this.exchange = exchange;
  }

  reset(id: number, exchange: HttpExchange): void {
    this.id = id;
    this.exchange = exchange;
    this.hasRequest = false;
    this.requestEnded = false;
    this.hasResponse = false;
    this.doubtful = false;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.hasRequestData = false;
    this.hasResponseData = false;
  }
}
