// SPDX-License-Identifier: Apache-2.0
import type { DataRecord, ExchangeEvents, LossReason } from "../../model/protocol.ts";
import { responded } from "../database/exchange.ts";
import { Fifo } from "../fifo.ts";
import { failureName } from "../http1/errno.ts";
import { MALFORMED, type Outcome, type Skipping, TAKEN, UNASKED } from "../ordered-connection.ts";
import type { MysqlExchange, MysqlShared } from "./exchange.ts";
import {
  afterLength,
  COM_FIELD_LIST,
  COM_PROCESS_INFO,
  COM_QUERY,
  COM_RESET_CONNECTION,
  COM_SET_OPTION,
  COM_STATISTICS,
  COM_STMT_BULK_EXECUTE,
  COM_STMT_EXECUTE,
  COM_STMT_FETCH,
  COM_STMT_PREPARE,
  COM_STMT_RESET,
  PAYLOAD_MAX,
  readInt16,
  readLength,
} from "./packet.ts";

const OK = 0x00;
const LOCAL_INFILE = 0xfb;
const EOF = 0xfe;
const ERROR = 0xff;
/** Of MariaDB: the error code of a report on how far the statement is. */
const PROGRESS = 0xffff;
const EOF_LENGTH = 5;
/** Status flags */
const MORE_RESULTS = 0x0008;
const CURSOR_EXISTS = 0x0040;
const COLUMNS_MAX = 4096;

/** What the next packet of the response is. */
const FIRST = 0;
const DEFINITIONS = 1;
const AFTER_DEFINITIONS = 2;
const ROWS = 3;
/** The rest of a row that is longer than a packet. */
const ROW_REST = 4;

/** Commands whose first packet may begin a result set. */
const WITH_RESULT: ReadonlySet<number> = new Set([
  COM_QUERY,
  COM_STMT_EXECUTE,
  COM_STMT_BULK_EXECUTE,
  COM_PROCESS_INFO,
]);
/** Round trips that run nothing. */
const HOUSEKEEPING: ReadonlySet<number> = new Set([
  COM_STMT_PREPARE,
  COM_STMT_RESET,
  COM_SET_OPTION,
  COM_RESET_CONNECTION,
]);

/** A response's packet; `bytes[start … end)` is what is seen of its payload of `length` bytes. */
export interface Packet {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly length: number;
  readonly sequence: number;
}

/** What the connection learns from results. */
export interface ResultHandler {
  prepared(exchange: MysqlExchange, id: number): void;
  namespaceChanged(namespace: string): void;
}

/** Brings results to commands, in order. */
export class Results {
  readonly #shared: MysqlShared;
  readonly #events: ExchangeEvents;
  readonly #handler: ResultHandler;
  readonly #open = new Fifo<MysqlExchange>();
  #stage = FIRST;
  /** Definitions that are still to come; of a prepared statement: of its parameters. */
  #left = 0;
  /** Of a prepared statement: definitions of columns after those of parameters. */
  #columns = 0;
  #rows = 0;
  /** The server asked for a file: what the client sends now are no commands. */
  infile = false;

  constructor(shared: MysqlShared, events: ExchangeEvents, handler: ResultHandler) {
    this.#shared = shared;
    this.#events = events;
    this.#handler = handler;
  }

  get count(): number {
    return this.#open.count;
  }

  push(exchange: MysqlExchange): void {
    this.#open.push(exchange);
  }

  /** The newest was not sent in whole, as far as is known. */
  takeBack(exchange: MysqlExchange, reason: LossReason): void {
    if (this.#open.last !== exchange) return;
    this.#open.pop();
    this.#abandon(exchange, reason);
  }

  /** May a packet with this number come now? */
  continues(sequence: number): boolean {
    const expected = this.#open.first?.details.state.sequence ?? -1;
    return expected < 0 || sequence === (expected & 0xff);
  }

  /** `isSending`: the only command that is open is not sent yet. */
  packet(packet: Packet, record: DataRecord, isSending: boolean): Outcome {
    const front = this.#open.first;
    const first = packet.length > 0 ? (packet.bytes[packet.start] ?? 0) : OK;
    if (front === undefined || (isSending && this.#open.count === 1)) {
      // The end of definitions after which nothing was expected, or a last word of the server.
      if (isOldEof(packet, first) && packet.sequence > 1) return TAKEN;
      if (first === ERROR) return TAKEN;
      return UNASKED;
    }
    responded(front, record);
    const { state } = front.details;
    if (state.sequence >= 0) {
      if (packet.sequence === (state.sequence & 0xff)) state.sequence = packet.sequence + 1;
      else if (first !== ERROR && !isOldEof(packet, first)) return MALFORMED;
    }
    if (first === ERROR && this.#stage !== ROW_REST && packet.length >= 3) {
      return this.#failed(front, packet, record.timeNs);
    }
    switch (this.#stage) {
      case FIRST:
        return this.#first(front, packet, first, record.timeNs);
      case DEFINITIONS:
        return this.#definition(front, packet, first, record.timeNs);
      default:
        return this.#row(front, packet, first, record.timeNs);
    }
  }

  #failed(front: MysqlExchange, packet: Packet, timeNs: number): Outcome {
    const { bytes, start, end } = packet;
    const code = readInt16(bytes, start + 1);
    if (code === PROGRESS) return TAKEN;
    front.details.status = String(code);
    if (bytes[start + 3] === 0x23 && end - start >= 9) {
      const state = String.fromCharCode(...bytes.subarray(start + 4, start + 9));
      if (/^[0-9A-Z]{5}$/.test(state)) front.details.detail = state;
    }
    this.#finish(front, timeNs);
    return TAKEN;
  }

  #first(front: MysqlExchange, packet: Packet, first: number, timeNs: number): Outcome {
    const { command } = front.details.state;
    if (packet.sequence === 0) return MALFORMED;
    if (command === COM_STATISTICS) return this.#done(front, timeNs);
    if (isOldEof(packet, first) && packet.sequence > 1 && front.details.state.results === 0) {
      // The end of the definitions of the statement that was prepared before.
      return TAKEN;
    }
    if (command === COM_STMT_PREPARE && first === OK) return this.#prepared(front, packet, timeNs);
    if (command === COM_FIELD_LIST || command === COM_STMT_FETCH) {
      this.#stage = ROWS;
      return this.#row(front, packet, first, timeNs);
    }
    if (first === OK || (first === EOF && packet.length < 9)) {
      return this.#ok(front, packet, timeNs);
    }
    if (!WITH_RESULT.has(command)) return MALFORMED;
    if (first === LOCAL_INFILE) {
      this.infile = true;
      front.details.state.sequence = -1;
      return TAKEN;
    }
    return this.#resultSet(packet);
  }

  #ok(front: MysqlExchange, packet: Packet, timeNs: number): Outcome {
    this.infile = false;
    const status = readStatus(packet);
    if ((status & MORE_RESULTS) !== 0) {
      front.details.state.results++;
      return TAKEN;
    }
    return this.#done(front, timeNs);
  }

  #done(front: MysqlExchange, timeNs: number): Outcome {
    const { nextNamespace } = front.details.state;
    if (nextNamespace !== "") this.#handler.namespaceChanged(nextNamespace);
    this.#finish(front, timeNs);
    return TAKEN;
  }

  /** The number of columns; MariaDB may say in a second byte that it leaves the definitions out. */
  #resultSet(packet: Packet): Outcome {
    const { bytes, start, end, length } = packet;
    const columns = readLength(bytes, start);
    const rest = afterLength(bytes, start);
    if (columns < 1 || columns > COLUMNS_MAX || length > 4 || rest > end) return MALFORMED;
    const isLeftOut = rest < end && bytes[rest] === 0;
    this.#left = isLeftOut ? 0 : columns;
    this.#rows = 0;
    this.#stage = isLeftOut ? AFTER_DEFINITIONS : DEFINITIONS;
    return TAKEN;
  }

  #prepared(front: MysqlExchange, packet: Packet, timeNs: number): Outcome {
    const { bytes, start, length } = packet;
    if (length < 9) return MALFORMED;
    const id = readInt16(bytes, start + 1) + readInt16(bytes, start + 3) * 0x10000;
    this.#handler.prepared(front, id);
    this.#columns = readInt16(bytes, start + 5);
    this.#left = readInt16(bytes, start + 7);
    if (this.#left === 0) {
      this.#left = this.#columns;
      this.#columns = 0;
    }
    if (this.#left === 0) this.#finish(front, timeNs);
    else this.#stage = DEFINITIONS;
    return TAKEN;
  }

  #definition(front: MysqlExchange, packet: Packet, first: number, timeNs: number): Outcome {
    const isPrepare = front.details.state.command === COM_STMT_PREPARE;
    // Between the definitions of parameters and those of columns.
    if (isPrepare && isOldEof(packet, first)) return TAKEN;
    // The catalogue's name, which is always "def".
    if (first !== 3 || packet.bytes[packet.start + 1] !== 0x64) return MALFORMED;
    this.#left--;
    if (this.#left > 0) return TAKEN;
    if (!isPrepare) {
      this.#stage = AFTER_DEFINITIONS;
      return TAKEN;
    }
    this.#left = this.#columns;
    this.#columns = 0;
    // An EOF may follow, which depends on what client and server agreed on: see `packet`.
    if (this.#left === 0) this.#finish(front, timeNs);
    return TAKEN;
  }

  /** A row, or what ends the definitions or the rows: EOF, or OK that looks like it. */
  #row(front: MysqlExchange, packet: Packet, first: number, timeNs: number): Outcome {
    const isEnd = first === EOF && packet.length < PAYLOAD_MAX && this.#stage !== ROW_REST;
    if (!isEnd || (packet.length >= 9 && !isLongOk(packet))) {
      if (this.#stage !== ROW_REST) this.#rows++;
      this.#stage = packet.length === PAYLOAD_MAX ? ROW_REST : ROWS;
      return TAKEN;
    }
    const status = readStatus(packet);
    const isBeforeRows = this.#stage === AFTER_DEFINITIONS && packet.length === EOF_LENGTH;
    if (isBeforeRows && (status & CURSOR_EXISTS) === 0) {
      this.#stage = ROWS;
      return TAKEN;
    }
    return this.#rowsEnd(front, status, timeNs);
  }

  #rowsEnd(front: MysqlExchange, status: number, timeNs: number): Outcome {
    const { details } = front;
    details.rows = details.state.results === 0 && this.#rows >= 0 ? this.#rows : -1;
    details.state.results++;
    this.#stage = FIRST;
    return (status & MORE_RESULTS) === 0 ? this.#done(front, timeNs) : TAKEN;
  }

  /** Of rows, after which `reset` takes back the reader. */
  skipping(reset: () => void): Skipping {
    const isInRows = (): boolean => this.#stage >= AFTER_DEFINITIONS;
    return {
      get allowed(): boolean {
        return isInRows();
      },
      isEnd: (last) => isResultEnd(last),
      end: (timeNs) => {
        const front = this.#open.first;
        this.#rows = -1;
        reset();
        if (front !== undefined) this.#rowsEnd(front, 0, timeNs);
      },
    };
  }

  #finish(exchange: MysqlExchange, timeNs: number): void {
    exchange.endNs = timeNs;
    this.#open.shift();
    this.#stage = FIRST;
    this.infile = false;
    const { state, status } = exchange.details;
    if (HOUSEKEEPING.has(state.command) && status === "") {
      this.#abandon(exchange, "no_operation");
      return;
    }
    this.#events.end(exchange);
    this.#shared.pool.give(exchange);
  }

  #abandon(exchange: MysqlExchange, reason: LossReason): void {
    this.#events.abandon(exchange, reason);
    this.#shared.pool.give(exchange);
  }

  abandonAll(reason: LossReason): void {
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      this.#abandon(next, reason);
    }
    this.begin();
  }

  begin(): void {
    this.#stage = FIRST;
    this.infile = false;
  }

  close(timeNs: number, error: number): void {
    for (let next = this.#open.first; next !== undefined; next = this.#open.first) {
      next.errorType = failureName(error);
      // Even of a command that runs nothing the failure is worth a span.
      next.endNs = timeNs;
      this.#open.shift();
      this.#events.end(next);
      this.#shared.pool.give(next);
    }
    this.begin();
  }
}

/** Rows end with an EOF packet, seen without its first byte, or with an OK packet from its number on. */
function isResultEnd(last: Uint8Array): boolean {
  const isEof = last[0] === 0 && last[1] === 0 && last[3] === EOF && last[5] === 0;
  const isOk = last[1] === EOF && last[2] === 0 && last[3] === 0 && last[7] === 0;
  const status = readInt16(last, isEof ? 6 : 4);
  return (isEof || isOk) && (status & MORE_RESULTS) === 0;
}

function isOldEof(packet: Packet, first: number): boolean {
  return first === EOF && packet.length === EOF_LENGTH;
}

/** An OK packet in EOF's place has two numbers and four bytes, perhaps text; a long row does not. */
function isLongOk(packet: Packet): boolean {
  return readLength(packet.bytes, packet.start + 1) >= 0 && packet.length < 0xffff;
}

/** Of an EOF or OK packet. */
function readStatus(packet: Packet): number {
  const { bytes, start, end, length } = packet;
  if (bytes[start] === EOF && length === EOF_LENGTH) return readInt16(bytes, start + 3);
  const at = afterLength(bytes, afterLength(bytes, start + 1));
  return at + 2 <= end ? readInt16(bytes, at) : 0;
}
