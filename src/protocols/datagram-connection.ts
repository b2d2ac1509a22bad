// SPDX-License-Identifier: Apache-2.0
import {
  type ConnectionParser,
  type DataRecord,
  type ExchangeEvents,
  type ParserOptions,
  type Protocol,
  RECEIVED,
  SENT,
} from "../model/protocol.ts";
import { type FrameOutcome, MALFORMED, TAKEN, UNASKED } from "./correlated-connection.ts";
import { type Exchanges, ExchangeTable } from "./exchange-table.ts";
import type { Frame } from "./frame-reader.ts";
import { perService } from "./per-service.ts";
import { type Description, ExchangePool } from "./pooled-exchange.ts";

/** A protocol whose every message is one datagram. */
export interface DatagramDialect<Details> {
  /** For `UNASKED` and `MALFORMED` nothing may have been changed. */
  ended(frame: Frame<Details>): FrameOutcome;
}

/** `error.type` of what nobody answered as long as the flow was followed. */
const TIMEOUT = "timeout";
/** After so many that are not of this protocol, without one that is, the flow is given up. */
const MALFORMED_MAX = 3;

/**
 * Questions and answers between two ports, paired by the ids that they carry. Nothing is kept of a
 * datagram, and one that is lost costs itself: there is no place to lose.
 */
class DatagramConnection<Details> implements ConnectionParser {
  readonly #table: ExchangeTable<Details>;
  readonly #dialect: DatagramDialect<Details>;
  readonly #events: ExchangeEvents;
  readonly #frame = new DatagramFrame<Details>();
  #malformedCount = 0;

  constructor(
    table: ExchangeTable<Details>,
    dialect: DatagramDialect<Details>,
    events: ExchangeEvents,
  ) {
    this.#table = table;
    this.#dialect = dialect;
    this.#events = events;
  }

  get idle(): boolean {
    return this.#table.count === 0;
  }

  data(record: DataRecord): void {
    if (this.#malformedCount >= MALFORMED_MAX) {
      this.#events.lost("malformed");
      return;
    }
    const outcome = this.#dialect.ended(this.#frame.over(record));
    this.#frame.exchange = undefined;
    if (outcome === TAKEN) this.#malformedCount = 0;
    else if (outcome === UNASKED) this.#events.lost("response_without_request");
    else {
      if (outcome === MALFORMED) this.#malformedCount++;
      this.#events.lost("malformed");
    }
  }

  close(timeNs: number, error: number): void {
    if (error === 0) {
      for (const direction of [RECEIVED, SENT] as const) {
        for (let open = this.#table.oldest(direction); open !== undefined; ) {
          if (!open.answerOptional) open.errorType = TIMEOUT;
          this.#table.end(open, timeNs);
          open = this.#table.oldest(direction);
        }
      }
    }
    this.#table.close(timeNs, error);
  }
}

class DatagramFrame<Details> implements Frame<Details> {
  direction: Frame<Details>["direction"] = RECEIVED;
  position = 0;
  length = 0;
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  startNs = 0;
  endNs = 0;
  pid = 0;
  tid = 0;
  exchange: Frame<Details>["exchange"] = undefined;

  over(record: DataRecord): this {
    this.direction = record.direction;
    this.position = record.position;
    this.length = record.length;
    this.bytes = record.bytes;
    this.start = record.start;
    this.end = record.start + record.captured;
    this.startNs = record.timeNs;
    this.endNs = record.timeNs;
    this.pid = record.pid;
    this.tid = record.tid;
    return this;
  }
}

/** `Protocol.datagrams.createParser`, with exchanges pooled by service. */
export function datagramParser<Details>(
  description: Description<Details>,
  createDialect: (
    exchanges: Exchanges<Details>,
    options: ParserOptions,
  ) => DatagramDialect<Details>,
): Protocol["createParser"] {
  const poolOf = perService(() => new ExchangePool(description));
  return (options, events) => {
    const table = new ExchangeTable(poolOf(options), events, options.pipelinedMax);
    return new DatagramConnection(table, createDialect(table, options), events);
  };
}
