// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, ExchangeEvents, LossReason } from "../../model/protocol.ts";
import { Fifo } from "../fifo.ts";
import { failureName } from "../http1/errno.ts";
import { MALFORMED, type Outcome, type Skipping, TAKEN, UNASKED } from "../ordered-connection.ts";
import { EXTENDED, type PostgresqlExchange, SIMPLE } from "./exchange.ts";
import { readReturnedRows, readSqlstate } from "./fields.ts";
import type { PostgresqlShared } from "./shared.ts";

const COMMAND_COMPLETE = 0x43;
const EMPTY_QUERY = 0x49;
const PORTAL_SUSPENDED = 0x73;
const ERROR = 0x45;
const READY = 0x5a;
const COPY_IN = 0x47;
const COPY_DONE_STATES: ReadonlySet<number> = new Set([COMMAND_COMPLETE, ERROR, READY]);
/** NoticeResponse, ParameterStatus, NotificationResponse: come at any time. */
const ASYNCHRONOUS: ReadonlySet<number> = new Set([0x4e, 0x53, 0x41]);

/** `error.type` of a statement that the server skipped after another one's error. */
const SKIPPED = "pipeline_aborted";

/** What the server still owes: results in the order of statements, and an answer to each Sync. */
type Owed = PostgresqlExchange | "sync";

interface Body {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Brings results to their statements. */
export class Results {
  readonly #shared: PostgresqlShared;
  readonly #events: ExchangeEvents;
  readonly #owed = new Fifo<Owed>();
  /** ReadyForQuery has not come since the start of the connection. */
  #connecting = false;
  /** Of what is owed, what ReadyForQuery answers: each Sync and each simple query. */
  #groups = 0;
  /** The server ignores Sync while it takes a COPY's data, the one sent before it too. */
  #syncsIgnored = 0;
  #copying = false;
  /** After an error, up to the next Sync, the server answers nothing. */
  #skipping = false;

  constructor(shared: PostgresqlShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
  }

  /** Results and answers to Sync. */
  get owed(): number {
    return this.#owed.count;
  }

  /** Groups that ReadyForQuery ends, the one that is being sent included. */
  get count(): number {
    return this.#groups + (this.#isOpenGroup() ? 1 : 0);
  }

  #isOpenGroup(): boolean {
    const last = this.#owed.last;
    return last !== undefined && last !== "sync" && last.details.state.kind === EXTENDED;
  }

  /** The next request message starts another request. */
  get isSynced(): boolean {
    const last = this.#owed.last;
    if (this.#copying) return false;
    return last === undefined || last === "sync" || last.details.state.kind === SIMPLE;
  }

  answers(type: number): boolean {
    return !this.#connecting && !ASYNCHRONOUS.has(type) && type !== ERROR;
  }

  begin(connecting: boolean): void {
    this.#connecting = connecting;
    this.#copying = false;
    this.#skipping = false;
    this.#syncsIgnored = 0;
  }

  push(exchange: PostgresqlExchange): void {
    this.#owed.push(exchange);
    if (exchange.details.state.kind === SIMPLE) this.#groups++;
  }

  sync(): void {
    if (this.#syncsIgnored > 0) this.#syncsIgnored--;
    else {
      this.#owed.push("sync");
      this.#groups++;
    }
  }

  /** The last statement was not sent in whole, as far as is known. */
  takeBack(exchange: PostgresqlExchange, reason: LossReason): void {
    if (this.#owed.last !== exchange) return;
    this.#owed.pop();
    if (exchange.details.state.kind === SIMPLE) this.#groups--;
    this.#abandon(exchange, reason);
  }

  started(type: number, record: DataRecord | undefined): void {
    const front = this.#owed.first;
    if (front === undefined || front === "sync" || record === undefined) return;
    if (front.responseStartNs !== 0 || ASYNCHRONOUS.has(type)) return;
    front.responseStartNs = record.timeNs;
    front.responseTid = record.tid;
  }

  message(type: number, body: Body, record: DataRecord | undefined): Outcome {
    const timeNs = record?.timeNs ?? 0;
    if (COPY_DONE_STATES.has(type)) this.#copying = false;
    switch (type) {
      case READY:
        return this.#ready(timeNs);
      case COMMAND_COMPLETE:
      case EMPTY_QUERY:
      case PORTAL_SUSPENDED:
        return this.#completed(type, body, timeNs);
      case ERROR:
        this.#failed(body, timeNs);
        return TAKEN;
      case COPY_IN:
        this.#copying = true;
        if (this.#isExtended() && this.#owed.at(1) === "sync") this.#syncsIgnored++;
        return TAKEN;
      default:
        return TAKEN;
    }
  }

  #isExtended(): boolean {
    const front = this.#owed.first;
    return front !== undefined && front !== "sync" && front.details.state.kind === EXTENDED;
  }

  #completed(type: number, body: Body, timeNs: number): Outcome {
    const front = this.#owed.first;
    if (front === undefined || front === "sync") return UNASKED;
    if (type === COMMAND_COMPLETE)
      front.details.rows = readReturnedRows(body.bytes, body.start, body.end);
    if (front.details.state.kind === SIMPLE) return TAKEN;
    if (!front.details.state.executed) return UNASKED;
    this.#finish(front, timeNs);
    return TAKEN;
  }

  /** Without an open statement: the server gives the connection up. */
  #failed(body: Body, timeNs: number): void {
    const front = this.#owed.first;
    if (front === undefined || front === "sync") {
      this.#events.lost("response_without_request");
      return;
    }
    front.details.status = readSqlstate(body.bytes, body.start, body.end);
    if (front.details.state.kind === SIMPLE) return;
    this.#finish(front, timeNs);
    this.#skipping = true;
  }

  #ready(timeNs: number): Outcome {
    const first = this.#owed.first;
    if (this.#connecting) {
      this.#connecting = false;
      return first === undefined ? TAKEN : MALFORMED;
    }
    for (let front = first; front !== undefined; front = this.#owed.first) {
      if (front === "sync") {
        this.#owed.shift();
        this.#groups--;
        this.#skipping = false;
        return TAKEN;
      }
      if (front.details.state.kind === SIMPLE) {
        this.#finish(front, timeNs);
        return TAKEN;
      }
      if (front.details.state.executed && !this.#skipping) return UNASKED;
      if (front.details.state.executed) {
        front.errorType = SKIPPED;
        this.#finish(front, timeNs);
      } else {
        this.#owed.shift();
        this.#abandon(front, "no_operation");
      }
    }
    return UNASKED;
  }

  #finish(exchange: PostgresqlExchange, timeNs: number): void {
    exchange.endNs = timeNs;
    this.#owed.shift();
    if (exchange.details.state.kind === SIMPLE) this.#groups--;
    this.#events.end(exchange);
    this.#shared.pool.give(exchange);
  }

  #abandon(exchange: PostgresqlExchange, reason: LossReason): void {
    this.#events.abandon(exchange, reason);
    this.#shared.pool.give(exchange);
  }

  /** Of rows or a COPY's data, `isInData` says; then `reset` takes back the reader. */
  skipping(isInData: () => boolean, reset: () => void): Skipping {
    const isOneGroup = (): boolean => this.#groups === 1 && this.#owed.count <= 2;
    return {
      get allowed(): boolean {
        return isOneGroup() && isInData();
      },
      isEnd: (last) => isReadyForQuery(last),
      end: (timeNs) => {
        reset();
        for (let front = this.#owed.first; front !== undefined; front = this.#owed.first) {
          if (front !== "sync") this.#finish(front, timeNs);
          else {
            this.#owed.shift();
            this.#groups--;
          }
        }
      },
    };
  }

  abandonAll(reason: LossReason): void {
    for (let next = this.#owed.shift(); next !== undefined; next = this.#owed.shift()) {
      if (next !== "sync") this.#abandon(next, reason);
    }
    this.#groups = 0;
    this.begin(false);
  }

  close(timeNs: number, error: number): void {
    for (let next = this.#owed.first; next !== undefined; next = this.#owed.first) {
      if (next === "sync") {
        this.#owed.shift();
        this.#groups--;
      } else if (next.details.state.kind === EXTENDED && !next.details.state.executed) {
        this.#owed.shift();
        this.#abandon(next, "no_operation");
      } else {
        // An error that came with the connection's end, such as 57P01, says more.
        if (next.details.status === "") next.errorType = failureName(error);
        this.#finish(next, timeNs);
      }
    }
  }
}

/** Its type, its length of 5, and the transaction's status: idle, in a transaction, failed. */
function isReadyForQuery(last: Uint8Array): boolean {
  const isLength = last[3] === 0 && last[4] === 0 && last[5] === 0 && last[6] === 5;
  const status = last[7];
  return last[2] === READY && isLength && (status === 0x49 || status === 0x54 || status === 0x45);
}
