// SPDX-License-Identifier: Apache-2.0
import {
  type ConnectionParser,
  type DataRecord,
  type ExchangeEvents,
  RECEIVED,
} from "../../model/protocol.ts";
import type { HttpExchange } from "../http/exchange.ts";
import { failureName } from "../http1/errno.ts";
import { FrameCounter } from "./frame-counter.ts";
import { WebSocketSession } from "./session.ts";

/** Where the frames of either side begin, stream positions. */
export interface Beginnings {
  readonly request: number;
  readonly response: number;
}

/** A connection after its handshake, until one span tells of it at its end. */
export class WebSocketConnection implements ConnectionParser {
  readonly #events: ExchangeEvents;
  readonly #session: WebSocketSession;
  readonly #clientDirection: number;
  #begun = false;
  #ended = false;

  constructor(events: ExchangeEvents, handshake: HttpExchange, beginnings: Beginnings) {
    this.#events = events;
    const client = new FrameCounter(beginnings.request);
    const server = new FrameCounter(beginnings.response);
    this.#session = new WebSocketSession(handshake, client, server);
    this.#clientDirection = handshake.role === "server" ? RECEIVED : 1 - RECEIVED;
  }

  get idle(): boolean {
    return this.#ended || !this.#begun;
  }

  data(record: DataRecord): void {
    if (this.#ended) {
      this.#events.lost("after_upgrade");
      return;
    }
    const session = this.#session;
    // A server's request would count as open for as long as the session lasts.
    if (session.role === "client") this.#begin();
    const counter = record.direction === this.#clientDirection ? session.client : session.server;
    count(counter, record);
    session.endNs = Math.max(record.timeNs, session.startNs);
    if (counter === session.server && session.responseStartNs === 0) {
      session.responseStartNs = session.endNs;
    }
    if (session.client.closeCode !== 0 && session.server.closeCode !== 0) this.#end();
  }

  close(timeNs: number, error: number): void {
    const { client, server } = this.#session;
    if (this.#ended || client.frames + server.frames === 0) {
      this.#giveUp();
      return;
    }
    if (client.closeCode === 0 && server.closeCode === 0) {
      this.#session.failure = failureName(error);
      this.#session.endNs = Math.max(timeNs, this.#session.startNs);
    }
    this.#end();
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#events.begin(this.#session);
  }

  #end(): void {
    this.#begin();
    this.#ended = true;
    this.#events.end(this.#session);
  }

  #giveUp(): void {
    if (this.#begun && !this.#ended) this.#events.abandon(this.#session, "no_operation");
    this.#ended = true;
  }
}

function count(counter: FrameCounter, record: DataRecord): void {
  const { position, length, start, bytes } = record;
  const captured = Math.min(record.captured, length);
  const gap = position - counter.expected;
  if (gap < 0) counter.lost = true;
  else if (gap > 0) counter.hole(gap);
  if (!counter.lost) counter.feed(bytes, start, start + captured);
  if (captured < length && !counter.lost) counter.hole(length - captured);
  counter.expected = position + length;
}
