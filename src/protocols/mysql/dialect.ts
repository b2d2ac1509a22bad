// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_MYSQL } from "@opentelemetry/semantic-conventions";
import {
  type DataRecord,
  type Detection,
  type ExchangeEvents,
  type LossReason,
  RECEIVED,
  type Role,
  SENT,
} from "../../model/protocol.ts";
import { Names } from "../database/names.ts";
import type { Statement } from "../database/statement.ts";
import { ADRIFT, BROKEN, type Frame, FrameReader, READ, TOO_LONG } from "../frame-reader.ts";
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
import { detectGreeting, detectRequest } from "./detect.ts";
import type { MysqlExchange, MysqlShared } from "./exchange.ts";
import { readChangedDatabase, readLogin, readSystem } from "./login.ts";
import {
  COM_CHANGE_USER,
  COM_INIT_DB,
  COM_QUERY,
  COM_RESET_CONNECTION,
  COM_STMT_BULK_EXECUTE,
  COM_STMT_CLOSE,
  COM_STMT_EXECUTE,
  COM_STMT_FETCH,
  COM_STMT_PREPARE,
  PAYLOAD_MAX,
  REQUEST_FRAMING,
  RESPONSE_FRAMING,
  readInt32,
  readName,
  STREAMS,
  UNANSWERED,
} from "./packet.ts";
import { Results } from "./results.ts";

const GREETING = 0x0a;
const OK = 0x00;
const ERROR = 0xff;
const EOF = 0xfe;
/** With its header. */
const EOF_BYTES = 9;
/** Of a packet in authentication. */
const CONNECTING_BYTES_MAX = 64 * 1024;
const HEADER_BYTES = 4;
/** Of a response: its first bytes say all that is of use. */
const RESPONSE_BYTES = 128;
/** MariaDB: the statement that was prepared last. */
const LAST_PREPARED = 0xffffffff;
/** Commands that name a prepared statement in their first four bytes. */
const BY_ID: ReadonlySet<number> = new Set([
  COM_STMT_EXECUTE,
  COM_STMT_BULK_EXECUTE,
  COM_STMT_FETCH,
]);

/** Commands and results of one connection. */
export class MysqlDialect implements Dialect {
  readonly #shared: MysqlShared;
  readonly #events: ExchangeEvents;
  readonly #results: Results;
  readonly #statements = new Names<number, Statement>();
  #lastPrepared: Statement | undefined = undefined;
  readonly skipping: Skipping;
  #requests: FrameReader<unknown>;
  #responses: FrameReader<unknown>;
  #system: string = DB_SYSTEM_NAME_VALUE_MYSQL;
  #namespace = "";
  /** What is agreed on before the first command, or after a change of user. */
  #connecting = false;
  #wantsCompression = false;
  #sending: MysqlExchange | undefined = undefined;
  /** The last packet was as long as can be: the next one goes on with it. */
  #requestGoesOn = false;
  #record: DataRecord | undefined = undefined;
  #outcome: Outcome = TAKEN;
  #timeNs = 0;

  constructor(shared: MysqlShared, events: ExchangeEvents) {
    this.#shared = shared;
    this.#events = events;
    this.#results = new Results(shared, events, {
      prepared: (exchange, id) => {
        this.#statements.set(id, exchange.details.statement);
      },
      namespaceChanged: (namespace) => {
        this.#namespace = namespace;
      },
    });
    this.skipping = this.#results.skipping(() => this.#responses.reset());
    this.#requests = this.#createReader(true);
    this.#responses = this.#createReader(false);
  }

  #createReader(isRequest: boolean): FrameReader<unknown> {
    const handler = isRequest
      ? {
          started: (frame: Frame<unknown>) => this.#requestStarted(frame),
          ended: (frame: Frame<unknown>) => this.#requestEnded(frame),
        }
      : {
          started: (frame: Frame<unknown>) => this.#responseStarted(frame),
          ended: (frame: Frame<unknown>) => this.#responseEnded(frame),
        };
    // The direction is of no use to this framing.
    return new FrameReader(isRequest ? REQUEST_FRAMING : RESPONSE_FRAMING, handler, {
      direction: isRequest ? RECEIVED : SENT,
      prefixBytesMax: isRequest ? this.#shared.options.headBytesMax : RESPONSE_BYTES,
    });
  }

  get openCount(): number {
    return this.#results.count;
  }

  get atBoundary(): boolean {
    return this.#requests.atBoundary && this.#responses.atBoundary;
  }

  /** A file that the server asked for is no other request. */
  get requestBoundary(): boolean {
    return this.#requests.atBoundary && !this.#results.infile && !this.#requestGoesOn;
  }

  detectGreeting(bytes: Uint8Array, start: number, end: number): Detection {
    return detectGreeting(bytes, start, end);
  }

  detectRequest(bytes: Uint8Array, start: number, end: number): Detection {
    return detectRequest(bytes, start, end);
  }

  answers(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#connecting) return false;
    // The first packet of an answer is number 1; an error may come unasked.
    return end - start < 5 || (bytes[start + 3] === 1 && bytes[start + 4] !== 0xff);
  }

  begin(_role: Role, fromStart: boolean): void {
    this.#requests.reset();
    this.#responses.reset();
    this.#results.begin();
    this.#requestGoesOn = false;
    this.#connecting = fromStart;
    this.#wantsCompression = false;
  }

  request(record: DataRecord): Outcome {
    this.#record = record;
    this.#timeNs = record.timeNs;
    this.#outcome = TAKEN;
    if (this.#results.infile) return TAKEN;
    return this.#outcomeOf(this.#requests.read(record));
  }

  response(record: DataRecord): Outcome {
    this.#record = record;
    this.#timeNs = record.timeNs;
    this.#outcome = TAKEN;
    return this.#outcomeOf(this.#responses.read(record));
  }

  #outcomeOf(read: number): Outcome {
    if (read === BROKEN) return MALFORMED;
    return read === TOO_LONG || read === ADRIFT ? BOUNDARY_LOST : this.#outcome;
  }

  requestHole(count: number): boolean {
    this.#outcome = TAKEN;
    if (this.#results.infile) return true;
    return this.#requests.hole(count, this.#timeNs) === READ;
  }

  responseHole(count: number): boolean {
    this.#outcome = TAKEN;
    const read = this.#responses.hole(count, this.#timeNs);
    return read === READ && this.#outcome === TAKEN;
  }

  loseRequests(reason: LossReason): void {
    this.#requests.reset();
    this.#requestGoesOn = false;
    this.#forget();
    const unfinished = this.#sending;
    this.#sending = undefined;
    if (unfinished !== undefined) this.#results.takeBack(unfinished, reason);
  }

  abandonAll(reason: LossReason): void {
    this.#sending = undefined;
    this.#results.abandonAll(reason);
    this.#requests.reset();
    this.#responses.reset();
    this.#requestGoesOn = false;
    this.#connecting = false;
    // What was lost may have changed the database.
    this.#namespace = "";
    this.#forget();
  }

  /** What was lost may have given a number to another statement. */
  #forget(): void {
    this.#statements.clear();
    this.#lastPrepared = undefined;
  }

  close(timeNs: number, error: number): void {
    this.loseRequests("malformed");
    this.#results.close(timeNs, error);
    this.#requests.reset();
    this.#responses.reset();
    this.#connecting = false;
  }

  #requestStarted(frame: Frame<unknown>): void {
    const sequence = frame.bytes[frame.start + 3] ?? 0;
    if (sequence !== 0 || this.#requestGoesOn || frame.length <= HEADER_BYTES) return;
    const command = frame.bytes[frame.start + HEADER_BYTES] ?? 0;
    if (UNANSWERED.has(command) || command === COM_CHANGE_USER) return;
    // A command instead of a login: the connection is older than what is seen of it.
    this.#connecting = false;
    if (this.#results.count >= this.#shared.options.pipelinedMax) {
      this.#outcome = TOO_MANY;
      return;
    }
    const direction = this.#record?.direction ?? RECEIVED;
    const { position, startNs, pid, tid } = frame;
    const exchange = this.#shared.pool.take({ direction, position, startNs, pid, tid });
    exchange.details.system = this.#system;
    exchange.details.namespace = this.#namespace;
    exchange.details.state.command = command;
    exchange.details.statement = this.#shared.commands.get(command) ?? exchange.details.statement;
    this.#sending = exchange;
    this.#results.push(exchange);
    this.#events.begin(exchange);
  }

  #requestEnded(frame: Frame<unknown>): boolean {
    const { bytes, start, end } = frame;
    if (this.#outcome !== TAKEN) return false;
    const goesOn = frame.length === HEADER_BYTES + PAYLOAD_MAX;
    const isRest = this.#requestGoesOn;
    this.#requestGoesOn = goesOn;
    const sequence = bytes[start + 3] ?? 0;
    const body = start + HEADER_BYTES;
    if (this.#sending !== undefined) {
      this.#sending.requestEndNs = frame.endNs;
      this.#sending.details.state.sequence = sequence + 1;
      if (!isRest) this.#commandEnded(this.#sending, bytes, body + 1, end);
      if (!goesOn) this.#sending = undefined;
    } else if (isRest) return true;
    else if (sequence === 0) this.#unanswered(bytes, body, end);
    else if (sequence === 1) this.#loggedIn(frame);
    return this.#outcome === TAKEN;
  }

  #commandEnded(exchange: MysqlExchange, bytes: Uint8Array, start: number, end: number): void {
    const { details } = exchange;
    const { command } = details.state;
    if (STREAMS.has(command)) this.#outcome = OVER;
    else if (command === COM_QUERY || command === COM_STMT_PREPARE) {
      const statement = this.#shared.statements.find(bytes, Math.min(start, end), end);
      details.statement = statement;
      if (command === COM_STMT_PREPARE) this.#lastPrepared = statement;
      else details.state.nextNamespace = statement.facts.namespace;
    } else if (BY_ID.has(command) && end - start >= 4) {
      const id = readInt32(bytes, start);
      const found = id === LAST_PREPARED ? this.#lastPrepared : this.#statements.find(id);
      if (found !== undefined) details.statement = found;
    } else if (command === COM_INIT_DB) details.state.nextNamespace = readName(bytes, start, end);
    else if (command === COM_RESET_CONNECTION) this.#forget();
  }

  #unanswered(bytes: Uint8Array, start: number, end: number): void {
    const command = bytes[start] ?? 0;
    if (command === COM_STMT_CLOSE && end - start >= 5) {
      this.#statements.set(readInt32(bytes, start + 1), undefined);
    } else if (command === COM_CHANGE_USER) {
      this.#namespace = readChangedDatabase(bytes, start + 1, end);
      this.#forget();
      this.#connecting = this.#results.count === 0;
      if (!this.#connecting) this.#outcome = BOUNDARY_LOST;
    }
  }

  #loggedIn(frame: Frame<unknown>): void {
    const { bytes, start, end, length } = frame;
    const login = readLogin(bytes, start + HEADER_BYTES, end, length - HEADER_BYTES);
    if (login === undefined) return;
    this.#namespace = login.namespace;
    this.#wantsCompression = login.wantsCompression;
    if (login.isTlsRequest || (login.wantsCompression && !this.#connecting)) this.#outcome = OVER;
  }

  /** What is no response is noticed before its length is believed. */
  #responseStarted(frame: Frame<unknown>): void {
    const sequence = frame.bytes[frame.start + 3] ?? 0;
    const first = frame.bytes[frame.start + HEADER_BYTES] ?? 0;
    // It may be the end of definitions that was not waited for.
    const isOldEof = first === EOF && frame.length === EOF_BYTES;
    const fits = this.#connecting
      ? frame.length <= CONNECTING_BYTES_MAX
      : first === ERROR || this.#results.continues(sequence) || isOldEof;
    if (!fits) this.#outcome = MALFORMED;
  }

  #responseEnded(frame: Frame<unknown>): boolean {
    const { bytes, end } = frame;
    const start = frame.start + HEADER_BYTES;
    const record = this.#record;
    if (record === undefined || this.#outcome !== TAKEN) return false;
    const sequence = bytes[frame.start + 3] ?? 0;
    if (this.#connecting) this.#connectingPacket(bytes, start, end);
    else {
      const packet = { bytes, start, end, length: frame.length - HEADER_BYTES, sequence };
      this.#outcome = this.#results.packet(packet, record, this.#sending !== undefined);
    }
    return this.#outcome === TAKEN;
  }

  /** The greeting, what authentication asks for, and at last OK or an error. */
  #connectingPacket(bytes: Uint8Array, start: number, end: number): void {
    const first = bytes[start] ?? 0;
    if (first === GREETING) this.#system = readSystem(bytes, start, end);
    if (first !== OK) return;
    this.#connecting = false;
    if (this.#wantsCompression) this.#outcome = OVER;
  }
}
