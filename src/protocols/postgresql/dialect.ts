// SPDX-License-Identifier: Apache-2.0
import type {
  DataRecord,
  Detection,
  ExchangeEvents,
  LossReason,
  Role,
} from "../../model/protocol.ts";
import { Names } from "../database/names.ts";
import type { Statement } from "../database/statement.ts";
import {
  BOUNDARY_LOST,
  type Dialect,
  MALFORMED,
  type Outcome,
  OVER,
  type Skipping,
  TAKEN,
  TOO_MANY,
} from "../ordered-connection.ts";
import {
  BACKEND,
  CANCEL_REQUEST,
  detect,
  FRONTEND,
  GSSENC_REQUEST,
  readInt32,
  SSL_REQUEST,
} from "./detect.ts";
import { EXTENDED, type PostgresqlExchange, SIMPLE } from "./exchange.ts";
import { readDatabase, readName, stringEnd } from "./fields.ts";
import { MessageReader } from "./reader.ts";
import { Results } from "./results.ts";
import type { PostgresqlShared } from "./shared.ts";

const QUERY = 0x51;
const FUNCTION_CALL = 0x46;
const PARSE = 0x50;
const BIND = 0x42;
const EXECUTE = 0x45;
const CLOSE = 0x43;
const SYNC = 0x53;
const DATA_ROW = 0x44;
const COPY_DATA = 0x64;
/** ErrorResponse, CommandComplete: their first bytes say all that is of use. */
const ERROR_BYTES = 256;
const STARTUP_BYTES = 2048;
const NAMES_BYTES = 512;

/** Statements and results of one connection. */
export class PostgresqlDialect implements Dialect {
  readonly #shared: PostgresqlShared;
  readonly #events: ExchangeEvents;
  readonly #requests: MessageReader;
  readonly #replies: MessageReader;
  readonly #results: Results;
  readonly skipping: Skipping;
  readonly #statements = new Names<string, Statement>();
  readonly #portals = new Names<string, Statement>();
  #namespace = "";
  #record: DataRecord | undefined = undefined;
  #outcome: Outcome = TAKEN;
  /** The extended query that has no Execute yet. */
  #unit: PostgresqlExchange | undefined = undefined;
  /** The exchange whose message is being read. */
  #sending: PostgresqlExchange | undefined = undefined;
  /** Requests for encryption that have no answer, a byte without a length. */
  #encryptionAsked = 0;

  constructor(shared: PostgresqlShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
    this.#results = new Results(shared, events);
    this.skipping = this.#results.skipping(
      () => this.#replies.type === DATA_ROW || this.#replies.type === COPY_DATA,
      () => this.#replies.reset(),
    );
    this.#requests = new MessageReader(
      {
        started: (type, offset) => this.#requestStarted(type, offset),
        wanted: (type) => this.#requestBytes(type),
        ended: (type, bytes, start, end) => this.#requestEnded(type, bytes, start, end),
      },
      FRONTEND,
    );
    this.#replies = new MessageReader(
      {
        started: (type) => this.#results.started(type, this.#record),
        wanted: (type) => (type === 0x45 || type === 0x43 ? ERROR_BYTES : 0),
        ended: (type, bytes, start, end) => {
          this.#outcome = this.#results.message(type, { bytes, start, end }, this.#record);
        },
      },
      BACKEND,
    );
  }

  get openCount(): number {
    return this.#results.count;
  }

  get atBoundary(): boolean {
    return this.#requests.atBoundary && this.#replies.atBoundary;
  }

  /** Messages of one extended query, and the data of a COPY, start no other request. */
  get requestBoundary(): boolean {
    return this.#requests.atBoundary && this.#results.isSynced;
  }

  detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
    return detect(bytes, start, end);
  }

  answers(bytes: Uint8Array, start: number, _end: number): boolean {
    return this.#encryptionAsked === 0 && this.#results.answers(bytes[start] ?? 0);
  }

  begin(_role: Role, fromStart: boolean): void {
    this.#requests.reset();
    this.#replies.reset();
    this.#encryptionAsked = 0;
    // A first packet that has a type is of a connection whose beginning was not seen.
    this.#requests.startup = fromStart;
    this.#results.begin(fromStart);
  }

  request(record: DataRecord): Outcome {
    if (this.#requests.startup && this.#requests.atBoundary && record.captured > 0) {
      if (record.bytes[record.start] !== 0) this.#startedBefore();
    }
    return this.#read(this.#requests, record);
  }

  #startedBefore(): void {
    this.#requests.startup = false;
    this.#results.begin(false);
  }

  response(record: DataRecord): Outcome {
    return this.#read(this.#replies, record);
  }

  #read(reader: MessageReader, record: DataRecord): Outcome {
    const end = record.start + record.captured;
    this.#record = record;
    this.#outcome = TAKEN;
    let at = record.start;
    while (at < end && this.#outcome === TAKEN) {
      if (reader === this.#replies && this.#encryptionAsked > 0 && reader.atBoundary) {
        at += this.#encryptionAnswer(record.bytes[at] ?? 0);
        continue;
      }
      at = reader.read(record.bytes, at, end);
      if (at < 0) this.#outcome = MALFORMED;
    }
    return this.#outcome;
  }

  /** `S` or `G`: encrypted from here on; `N`: not. An old server may send an ErrorResponse. */
  #encryptionAnswer(answer: number): number {
    this.#encryptionAsked--;
    if (answer === 0x4e) return 1;
    if (answer === 0x45) return 0;
    this.#outcome = answer === 0x53 || answer === 0x47 ? OVER : MALFORMED;
    return 1;
  }

  requestHole(count: number): boolean {
    return this.#requests.hole(count);
  }

  responseHole(count: number): boolean {
    this.#outcome = TAKEN;
    return this.#replies.hole(count) && this.#outcome === TAKEN;
  }

  loseRequests(reason: LossReason): void {
    this.#requests.reset();
    this.#forgetNames();
    const unfinished = this.#unit ?? this.#sending;
    this.#unit = undefined;
    this.#sending = undefined;
    if (unfinished !== undefined) this.#results.takeBack(unfinished, reason);
  }

  abandonAll(reason: LossReason): void {
    this.#unit = undefined;
    this.#sending = undefined;
    this.#results.abandonAll(reason);
    this.#requests.reset();
    this.#replies.reset();
    this.#forgetNames();
  }

  /** What was lost may have given a name to another statement. */
  #forgetNames(): void {
    this.#statements.clear();
    this.#portals.clear();
  }

  close(timeNs: number, error: number): void {
    this.loseRequests("malformed");
    this.#results.close(timeNs, error);
    this.#requests.reset();
    this.#replies.reset();
  }

  #requestStarted(type: number, offset: number): void {
    const isQuery = type === QUERY || type === FUNCTION_CALL;
    const isExtended = type === PARSE || type === BIND || type === EXECUTE;
    if (isExtended && this.#unit !== undefined) {
      this.#sending = this.#unit;
      return;
    }
    const record = this.#record;
    if ((!isQuery && !isExtended && type !== SYNC) || record === undefined) return;
    if (this.#results.owed >= this.#shared.options.pipelinedMax) {
      this.#outcome = TOO_MANY;
      return;
    }
    if (type === SYNC) return;
    const { direction, timeNs: startNs, pid, tid } = record;
    const position = record.position + offset - record.start;
    const exchange = this.#shared.pool.take({ direction, position, startNs, pid, tid });
    exchange.details.state.kind = isQuery ? SIMPLE : EXTENDED;
    exchange.details.namespace = this.#namespace;
    this.#sending = exchange;
    this.#unit = isQuery ? undefined : exchange;
    this.#results.push(exchange);
    this.#events.begin(exchange);
  }

  #requestBytes(type: number): number {
    if (type === 0) return STARTUP_BYTES;
    if (type === QUERY || type === PARSE) return this.#shared.options.headBytesMax;
    return type === BIND || type === EXECUTE || type === CLOSE ? NAMES_BYTES : 0;
  }

  #requestEnded(type: number, bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.#sending;
    const record = this.#record;
    this.#sending = undefined;
    if (type === 0) this.#startupPacket(bytes, start, end);
    else if (type === CLOSE) this.#closed(bytes, start, end);
    else if (type === SYNC) {
      this.#unit = undefined;
      this.#results.sync();
    }
    if (exchange === undefined || record === undefined) return;
    exchange.requestEndNs = record.timeNs;
    if (type === QUERY) {
      const stop = stringEnd(bytes, start, end);
      exchange.details.statement = this.#shared.statements.find(bytes, start, stop);
    } else if (type === PARSE) this.#parsed(exchange, { bytes, start, end });
    else if (type === BIND) this.#bound(exchange, { bytes, start, end });
    else if (type === EXECUTE) this.#executed(exchange, { bytes, start, end });
  }

  #parsed(exchange: PostgresqlExchange, body: Body): void {
    const { bytes, start, end } = body;
    const nameEnd = stringEnd(bytes, start, end);
    const stop = stringEnd(bytes, nameEnd + 1, end);
    const statement = this.#shared.statements.find(bytes, Math.min(nameEnd + 1, stop), stop);
    this.#statements.set(readName(bytes, start, nameEnd), statement);
    exchange.details.statement = statement;
  }

  #bound(exchange: PostgresqlExchange, body: Body): void {
    const { bytes, start, end } = body;
    const portalEnd = stringEnd(bytes, start, end);
    const nameEnd = stringEnd(bytes, portalEnd + 1, end);
    const statement = this.#statements.find(readName(bytes, portalEnd + 1, nameEnd));
    this.#portals.set(readName(bytes, start, portalEnd), statement);
    if (statement !== undefined) exchange.details.statement = statement;
  }

  #executed(exchange: PostgresqlExchange, body: Body): void {
    const { bytes, start, end } = body;
    const statement = this.#portals.find(readName(bytes, start, stringEnd(bytes, start, end)));
    if (statement !== undefined) exchange.details.statement = statement;
    exchange.details.state.executed = true;
    this.#unit = undefined;
  }

  /** `S` and a statement's name, or `P` and a portal's. */
  #closed(bytes: Uint8Array, start: number, end: number): void {
    const name = readName(bytes, start + 1, stringEnd(bytes, start + 1, end));
    const names = bytes[start] === 0x53 ? this.#statements : this.#portals;
    names.set(name, undefined);
  }

  #startupPacket(bytes: Uint8Array, start: number, end: number): void {
    const code = end - start >= 4 ? readInt32(bytes, start) : 0;
    if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
      this.#encryptionAsked++;
      return;
    }
    this.#requests.startup = false;
    if (code === CANCEL_REQUEST) return;
    if (code >>> 16 !== 3) this.#outcome = code === 0 ? BOUNDARY_LOST : MALFORMED;
    else this.#namespace = readDatabase(bytes, start + 4, end);
  }
}

interface Body {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}
