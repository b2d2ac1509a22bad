// SPDX-License-Identifier: Apache-2.0
import type {
  DataRecord,
  Detection,
  ExchangeEvents,
  LossReason,
  Role,
} from "../../model/protocol.ts";
import { responded } from "../database/exchange.ts";
import { failureName } from "../http1/errno.ts";
import {
  BOUNDARY_LOST,
  type Dialect,
  MALFORMED,
  type Outcome,
  OVER,
  type Skipping,
  TAKEN,
  UNASKED,
} from "../ordered-connection.ts";
import { detectRequest } from "./detect.ts";
import {
  CANCEL,
  CLIENT_DATA,
  CLIENT_HELLO,
  END_OF_STREAM,
  EXCEPTION,
  PING,
  PONG,
  QUERY,
  readClientHello,
  readServerHello,
  SERVER_HELLO,
  skipString,
  TABLES_STATUS,
  TABLES_STATUS_RESPONSE,
  WITH_ADDENDUM,
  WITH_CHUNKS,
  WITH_PARALLEL_REPLICAS,
} from "./packets.ts";
import { createQuery, readQuery } from "./query.ts";
import {
  CUT,
  endsStream,
  endsWithStream,
  PASSED as REPLY_PASSED,
  type ReplyState,
  readReply,
  UNREADABLE,
} from "./replies.ts";
import type { ClickHouseExchange, ClickHouseShared } from "./shared.ts";

/** Of a packet of the server that is waited for. */
const REPLY_BYTES_MAX = 16 * 1024;
const NO_BYTES = new Uint8Array(0);

/** The beginning of a packet whose rest comes in later records. */
class Waiting {
  bytes: Uint8Array = NO_BYTES;
  length = 0;

  /** What waited, and the record behind it; the record's own bytes when nothing waits. */
  with(record: DataRecord): { bytes: Uint8Array; start: number; end: number } {
    const { bytes, start, captured } = record;
    if (this.length === 0) return { bytes, start, end: start + captured };
    this.#grow(this.length + captured);
    this.bytes.set(bytes.subarray(start, start + captured), this.length);
    this.length += captured;
    return { bytes: this.bytes, start: 0, end: this.length };
  }

  keep(bytes: Uint8Array, start: number, end: number): void {
    const rest = bytes.slice(start, end);
    this.bytes = rest;
    this.length = rest.length;
  }

  clear(): void {
    this.bytes = NO_BYTES;
    this.length = 0;
  }

  #grow(length: number): void {
    if (this.bytes.length >= length) return;
    const grown = new Uint8Array(Math.max(256, 2 * length));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

/**
 * Queries of one connection. There is one at a time: whatever the client sends until its response is
 * over belongs to it (blocks of an INSERT, a wish to cancel).
 */
export class ClickHouseDialect implements Dialect {
  readonly #shared: ClickHouseShared;
  readonly #events: ExchangeEvents;
  readonly #asking = new Waiting();
  readonly #answering = new Waiting();
  readonly #query = createQuery();
  readonly #reply: ReplyState = {
    revision: 0,
    isCompressed: false,
    rows: 0,
    code: 0,
    codeName: "",
  };
  readonly skipping: Skipping;
  #open: ClickHouseExchange | undefined = undefined;
  /** The head of the open query was read. */
  #isSent = false;
  #clientRevision = 0;
  /** The hello was seen; else the form of queries tells it nearly. */
  #isRevisionSure = false;
  #namespace = "";
  /** Hello was sent and not answered. */
  #isGreeting = false;
  /** The client's second part of Hello is to come. */
  #needsAddendum = false;
  /** Packets go by unread until some record ends the response. */
  #isUnread = false;
  /** And not all of them were captured. */
  #isHoled = false;

  constructor(shared: ClickHouseShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
    const allowed = (): boolean => this.#open !== undefined && this.#isUnread;
    this.skipping = {
      get allowed(): boolean {
        return allowed();
      },
      isEnd: endsWithStream,
      end: (timeNs) => this.#finish(timeNs),
    };
  }

  get openCount(): number {
    return this.#open === undefined ? 0 : 1;
  }

  get atBoundary(): boolean {
    return this.#asking.length === 0 && this.#answering.length === 0 && !this.#isUnread;
  }

  /** Also while the engine lets rows go by: then a query's blocks are not to be expected. */
  get requestBoundary(): boolean {
    return (this.#open === undefined || this.#isHoled) && this.#asking.length === 0;
  }

  detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
    return detectRequest(bytes, start, end);
  }

  answers(): boolean {
    return !this.#isGreeting;
  }

  begin(_role: Role, fromStart: boolean): void {
    this.#forget();
    if (!fromStart) return;
    this.#clientRevision = 0;
    this.#reply.revision = 0;
    this.#isRevisionSure = false;
  }

  #forget(): void {
    this.#asking.clear();
    this.#answering.clear();
    this.#isUnread = false;
    this.#isHoled = false;
    this.#isGreeting = false;
    this.#needsAddendum = false;
  }

  request(record: DataRecord): Outcome {
    const open = this.#open;
    if (open !== undefined && this.#isSent) {
      if (!this.#isUnread || !this.#isNext(record)) {
        open.requestEndNs = record.timeNs;
        return TAKEN;
      }
      this.#finish(record.timeNs);
    }
    const { bytes, start, end } = this.#asking.with(record);
    // A record's bytes may be kept: positions count from its end.
    const base = record.position + record.captured - end;
    let at = start;
    while (at < end && !(this.#open !== undefined && this.#isSent)) {
      const kind = bytes[at] ?? 0;
      if (kind === QUERY || kind === PING || kind === TABLES_STATUS) this.#begin(record, base + at);
      const next = this.#packet(kind, bytes, at, end, record);
      if (next === OUT_OF_STEP) return this.#needsAddendum ? OVER : MALFORMED;
      if (next === STAYS) return this.#wait(bytes, at, end);
      if (next === OTHERWISE) return OVER;
      at = next;
    }
    this.#asking.clear();
    return TAKEN;
  }

  #wait(bytes: Uint8Array, at: number, end: number): Outcome {
    if (end - at > this.#shared.options.headBytesMax) return BOUNDARY_LOST;
    this.#asking.keep(bytes, at, end);
    return TAKEN;
  }

  /** While rows go by unread: another query shows that they are over. */
  #isNext({ bytes, start, captured }: DataRecord): boolean {
    return bytes[start] === PING || detectRequest(bytes, start, start + captured) === "yes";
  }

  #begin(record: DataRecord, position: number): void {
    if (this.#open !== undefined) return;
    const { direction, timeNs: startNs, pid, tid } = record;
    const exchange = this.#shared.pool.take({ direction, position, startNs, pid, tid });
    exchange.details.namespace = this.#namespace;
    this.#open = exchange;
    this.#isSent = false;
    this.#events.begin(exchange);
  }

  /** Where the next packet begins, or one of the outcomes below 0. */
  #packet(kind: number, bytes: Uint8Array, at: number, end: number, record: DataRecord): number {
    const cursor = this.#shared.cursor.over(bytes, at, end);
    if (this.#needsAddendum) return this.#addendum();
    cursor.skip(1);
    switch (kind) {
      case CLIENT_HELLO: {
        const hello = readClientHello(cursor);
        if (cursor.isCut) return STAYS;
        if (hello === undefined) return OUT_OF_STEP;
        this.#clientRevision = hello.revision;
        this.#namespace = hello.namespace;
        this.#isGreeting = true;
        return cursor.at;
      }
      case QUERY:
        return this.#queryHead(bytes, end, record);
      case PING:
        this.#sent(record, true);
        return cursor.at;
      case TABLES_STATUS:
        this.#sent(record, true);
        return end;
      case CLIENT_DATA:
      case CANCEL:
        // Of a query that is over, such as one that failed.
        return end;
      default:
        return OUT_OF_STEP;
    }
  }

  #addendum(): number {
    const { cursor } = this.#shared;
    const { revision } = this.#reply;
    skipString(cursor);
    if (revision >= WITH_CHUNKS) {
      for (let count = 0; count < 2; count++) {
        const length = cursor.varint();
        const at = cursor.take(length);
        if (cursor.isCut) return STAYS;
        if (cursor.nameAt(at, length) === "chunked") return OTHERWISE;
      }
    }
    if (revision >= WITH_PARALLEL_REPLICAS) cursor.varint();
    if (cursor.isCut) return STAYS;
    this.#needsAddendum = false;
    return cursor.at;
  }

  #queryHead(bytes: Uint8Array, end: number, record: DataRecord): number {
    const query = this.#query;
    const { cursor, options, statements } = this.#shared;
    const read = readQuery(cursor, this.#isRevisionSure ? this.#reply.revision : 0, query);
    if (read === "no") return OUT_OF_STEP;
    if (read === "more") return STAYS;
    const textEnd = Math.min(end, query.textEnd);
    const isLong = query.textEnd - query.textStart > options.headBytesMax;
    if (query.textEnd > end && !isLong && record.captured === record.length) return STAYS;
    this.#reply.isCompressed = query.isCompressed;
    if (!this.#isRevisionSure) this.#reply.revision = query.form;
    const open = this.#open;
    if (open !== undefined) {
      const { textStart } = query;
      const stop = Math.min(textEnd, textStart + options.headBytesMax);
      open.details.statement = statements.find(bytes, textStart, stop);
      if (query.traceAt >= 0)
        open.traceContext = traceContext(bytes, query.traceAt, query.isSampled);
    }
    this.#sent(record, false);
    return end;
  }

  #sent(record: DataRecord, isHousekeeping: boolean): void {
    const open = this.#open;
    if (open === undefined) return;
    open.requestEndNs = record.timeNs;
    open.details.state.isHousekeeping = isHousekeeping;
    this.#isSent = true;
    this.#reply.rows = 0;
    this.#reply.code = 0;
    this.#reply.codeName = "";
  }

  response(record: DataRecord): Outcome {
    const open = this.#open;
    if (open !== undefined) responded(open, record);
    if (this.#isUnread) {
      this.#passUnread(record);
      return TAKEN;
    }
    const { bytes, start, end } = this.#answering.with(record);
    let at = start;
    while (at < end) {
      const cursor = this.#shared.cursor.over(bytes, at, end);
      const kind = bytes[at] ?? 0;
      if (kind === SERVER_HELLO) {
        if (!this.#greeted(bytes, at, end)) return MALFORMED;
        if (cursor.isCut) return this.#waitForReply(bytes, at, end);
        at = cursor.at;
        continue;
      }
      if (this.#open === undefined) {
        if (this.#isGreeting && kind === EXCEPTION) return OVER;
        return UNASKED;
      }
      const reply = readReply(cursor, this.#reply);
      if (reply === CUT) return this.#waitForReply(bytes, at, end);
      if (reply !== REPLY_PASSED) return this.#unread(reply, record);
      at = cursor.at;
      if (isLast(kind)) this.#finish(record.timeNs, kind === EXCEPTION);
    }
    this.#answering.clear();
    return TAKEN;
  }

  #passUnread({ bytes, start, captured, length, timeNs }: DataRecord): void {
    if (captured === length && endsStream(bytes, start, start + captured)) this.#finish(timeNs);
  }

  /** What is not read may still be this protocol, if its revision is a guess. */
  #unread(reply: number, record: DataRecord): Outcome {
    if (reply !== UNREADABLE && this.#isRevisionSure) return MALFORMED;
    this.#goUnread();
    this.#passUnread(record);
    return TAKEN;
  }

  #waitForReply(bytes: Uint8Array, at: number, end: number): Outcome {
    if (end - at <= REPLY_BYTES_MAX) {
      this.#answering.keep(bytes, at, end);
      return TAKEN;
    }
    if (this.#open === undefined) return MALFORMED;
    this.#goUnread();
    return TAKEN;
  }

  /** False when it is no Hello. The older revision of the two counts. */
  #greeted(bytes: Uint8Array, at: number, end: number): boolean {
    const cursor = this.#shared.cursor.over(bytes, at + 1, end);
    const hello = readServerHello(cursor, this.#clientRevision);
    if (cursor.isCut) return true;
    if (hello === undefined) return false;
    this.#isGreeting = false;
    this.#reply.revision = hello.revision;
    this.#isRevisionSure = true;
    this.#needsAddendum = this.#clientRevision !== 0 && hello.revision >= WITH_ADDENDUM;
    // Newer servers say more of themselves than is read.
    if (hello.isLong) cursor.skip(end - cursor.at);
    return true;
  }

  requestHole(_count: number): boolean {
    // Blocks of an INSERT are not read; of a query's head not all may be left out.
    return this.#open !== undefined && this.#isSent;
  }

  responseHole(_count: number): boolean {
    if (this.#open === undefined || !this.#isSent) return false;
    this.#goUnread();
    this.#isHoled = true;
    return false;
  }

  #goUnread(): void {
    this.#answering.clear();
    this.#isUnread = true;
    this.#reply.rows = -1;
  }

  loseRequests(reason: LossReason): void {
    this.#asking.clear();
    if (this.#open !== undefined && !this.#isSent) this.#abandon(this.#open, reason);
  }

  abandonAll(reason: LossReason): void {
    if (this.#open !== undefined) this.#abandon(this.#open, reason);
    this.#forget();
  }

  close(timeNs: number, error: number): void {
    this.loseRequests("malformed");
    const open = this.#open;
    if (open !== undefined) {
      open.errorType = failureName(error);
      open.endNs = timeNs;
      this.#open = undefined;
      this.#events.end(open);
      this.#shared.pool.give(open);
    }
    this.#forget();
  }

  #finish(timeNs: number, isFailed = false): void {
    const open = this.#open;
    this.#isUnread = false;
    this.#isHoled = false;
    this.#answering.clear();
    if (open === undefined) return;
    const { details } = open;
    const { rows, code, codeName } = this.#reply;
    open.endNs = timeNs;
    if (isFailed) {
      details.status = String(code);
      details.detail = codeName;
    } else if (details.state.isHousekeeping) {
      this.#abandon(open, "no_operation");
      return;
    } else if (rows >= 0 && details.statement.facts.operation === "SELECT") details.rows = rows;
    this.#open = undefined;
    this.#events.end(open);
    this.#shared.pool.give(open);
  }

  #abandon(exchange: ClickHouseExchange, reason: LossReason): void {
    this.#open = undefined;
    this.#events.abandon(exchange, reason);
    this.#shared.pool.give(exchange);
  }
}

const OUT_OF_STEP = -1;
const STAYS = -2;
const OTHERWISE = -3;

function isLast(kind: number): boolean {
  return (
    kind === END_OF_STREAM || kind === EXCEPTION || kind === PONG || kind === TABLES_STATUS_RESPONSE
  );
}

/** ClickHouse writes a trace id as two numbers of eight bytes, least significant byte first. */
function traceContext(bytes: Uint8Array, at: number, sampled: boolean) {
  const traceId = new Uint8Array(16);
  const spanId = new Uint8Array(8);
  for (let index = 0; index < 8; index++) {
    traceId[index] = bytes[at + 7 - index] ?? 0;
    traceId[8 + index] = bytes[at + 15 - index] ?? 0;
    spanId[index] = bytes[at + 23 - index] ?? 0;
  }
  return { traceId, spanId, sampled, header: "traceparent" };
}
