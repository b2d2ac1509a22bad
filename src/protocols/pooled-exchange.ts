// SPDX-License-Identifier: Apache-2.0
import type { MeasurementSink, SpanSink } from "../model/attribute.ts";
import type { Direction, Exchange, Role, TraceContext } from "../model/protocol.ts";
import { RECEIVED, SENT } from "../model/protocol.ts";

const POOL_MAX = 4096;

/** How a protocol's exchanges are kept and told: one object a service, without a connection's state. */
export interface Description<Details> {
  /** The protocol's own fields. Made once for each pooled exchange. */
  createDetails(): Details;
  /** Makes used fields new. */
  resetDetails(details: Details): void;
  describe(exchange: PooledExchange<Details>, sink: SpanSink): void;
  /** Writes nothing where the conventions have no instrument. */
  measure(exchange: PooledExchange<Details>, sink: MeasurementSink): void;
}

/** What a request's first bytes say of its exchange. */
export interface RequestStart {
  /** Which way the request goes. */
  readonly direction: Direction;
  readonly position: number;
  readonly startNs: number;
  readonly pid: number;
  readonly tid: number;
}

/** One request with its response, or one message; `details` has what the protocol adds. */
export class PooledExchange<Details> implements Exchange {
  role: Role = "server";
  messaging: "producer" | "consumer" | undefined = undefined;
  requestPosition = 0;
  startNs = 0;
  requestEndNs = 0;
  responseStartNs = 0;
  endNs = 0;
  requestTid = 0;
  responseTid = 0;
  pid = 0;
  traceContext: TraceContext | undefined = undefined;
  link: unknown = undefined;

  readonly details: Details;
  /** `error.type`, empty without one: of the protocol, or how the connection ended. */
  errorType = "";
  /** The connection may end without a response, and that is no error. */
  answerOptional = false;
  /** Which way the request went. */
  asker: Direction = RECEIVED;
  /** For the engine: its name in the table of what is open, undefined outside of it. */
  key: ExchangeKey | undefined = undefined;
  /** For the engine: bytes are lost that may have held the response. */
  doubtful = false;
  /** For the engine: the frame under way that it began with. */
  frame: { exchange: unknown } | undefined = undefined;
  readonly #description: Description<Details>;

  constructor(description: Description<Details>) {
    this.#description = description;
    this.details = description.createDetails();
  }

  /** Makes it new, for a request that starts there. */
  reset(start: RequestStart): void {
    this.role = start.direction === SENT ? "client" : "server";
    this.messaging = undefined;
    this.requestPosition = start.position;
    this.startNs = start.startNs;
    this.requestEndNs = 0;
    this.responseStartNs = 0;
    this.endNs = 0;
    this.requestTid = start.tid;
    this.responseTid = 0;
    this.pid = start.pid;
    this.traceContext = undefined;
    this.link = undefined;
    this.errorType = "";
    this.answerOptional = false;
    this.asker = start.direction;
    this.key = undefined;
    this.doubtful = false;
    this.frame = undefined;
    this.#description.resetDetails(this.details);
  }

  describe(sink: SpanSink): void {
    this.#description.describe(this, sink);
  }

  measure(sink: MeasurementSink): void {
    this.#description.measure(this, sink);
  }
}

/** Numbers where the protocol has numbers; they are compared as doubles. */
export type ExchangeKey = number | string;

/** The exchanges of one service that wait for their next use. */
export class ExchangePool<Details> {
  readonly #description: Description<Details>;
  readonly #free: PooledExchange<Details>[] = [];

  constructor(description: Description<Details>) {
    this.#description = description;
  }

  take(start: RequestStart): PooledExchange<Details> {
    const exchange = this.#free.pop() ?? new PooledExchange(this.#description);
    exchange.reset(start);
    return exchange;
  }

  /** After `ExchangeEvents.end` or `abandon`. */
  give(exchange: PooledExchange<Details>): void {
    exchange.link = undefined;
    exchange.traceContext = undefined;
    if (this.#free.length < POOL_MAX) this.#free.push(exchange);
  }
}
