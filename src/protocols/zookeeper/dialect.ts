// SPDX-License-Identifier: Apache-2.0
import type { Detection, Direction } from "../../model/protocol.ts";
import { type NameTable, readUint32 } from "../byte-cursor.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import type { Frame } from "../frame-reader.ts";
import type { StoreDetails } from "../store-operation.ts";
import { detect, detectRequest, frameBytes, isConnect, isConnected } from "./detect.ts";
import { errorName, obfuscatedPath, operationOf, PING } from "./operations.ts";

/** Ids that are no request's: events of watches, pings. */
const WATCH_XID = -1;
const PING_XID = -2;
/** The key of a session's begin, which has no id. */
const CONNECT_KEY = "connect";
const RESPONSE_HEADER_BYTES = 20;

export interface ZooKeeperOptions {
  readonly names: NameTable;
  readonly rawStatements: boolean;
}

/** Requests of one session, by their ids. Which end is the client shows in the first request. */
export class ZooKeeperDialect implements CorrelatedDialect<StoreDetails> {
  /** Length, id and kind. */
  readonly headerBytes = 12;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<StoreDetails>;
  readonly #options: ZooKeeperOptions;
  #client: Direction | undefined = undefined;

  constructor(exchanges: Exchanges<StoreDetails>, options: ZooKeeperOptions) {
    this.#exchanges = exchanges;
    this.#options = options;
  }

  readonly frameLength: typeof frameBytes = frameBytes;

  plausible(bytes: Uint8Array, start: number, end: number, direction: Direction): Detection {
    if (this.#client === undefined) return detect(bytes, start, end);
    if (this.#client === direction) return detectRequest(bytes, start, end);
    const length = frameBytes(bytes, start, end);
    if (length < RESPONSE_HEADER_BYTES || end - start < RESPONSE_HEADER_BYTES) return "no";
    const error = readUint32(bytes, start + 16) | 0;
    return error <= 0 && error >= -200 ? "weak" : "no";
  }

  ended(frame: Frame<StoreDetails>): FrameOutcome {
    const { bytes, start, end, direction } = frame;
    if (end - start < 12) return TAKEN;
    if (this.#client === undefined) {
      const found = detectRequest(bytes, start, end);
      if (found === "yes") this.#client = direction;
      else if (isConnected(bytes, start, end)) this.#client = opposite(direction);
      else return UNASKED;
    }
    return this.#client === direction ? this.#request(frame) : this.#response(frame);
  }

  #request(frame: Frame<StoreDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const isFirst = isConnect(bytes, start, end);
    const code = readUint32(bytes, start + 8) | 0;
    const operation = isFirst ? undefined : operationOf(code);
    if (operation === undefined && !isFirst) return MALFORMED;
    if (!isFirst && code === PING) return TAKEN;
    const xid = readUint32(bytes, start + 4) | 0;
    const exchange = this.#exchanges.begin(frame, isFirst ? CONNECT_KEY : xid);
    exchange.requestEndNs = frame.endNs;
    exchange.details.operation = operation?.name ?? "connect";
    if (operation?.hasPath === true) exchange.details.text = this.#text(operation.name, frame);
    return TAKEN;
  }

  #text(operation: string, { bytes, start, end }: Frame<StoreDetails>): string {
    const stop = start + 16 + readUint32(bytes, start + 12);
    if (stop > end) return "";
    const path = this.#options.names.find(bytes, start + 16, stop);
    return `${operation} ${this.#options.rawStatements ? path : obfuscatedPath(path)}`;
  }

  #response(frame: Frame<StoreDetails>): FrameOutcome {
    const { bytes, start, end } = frame;
    const asker = opposite(frame.direction);
    const first = this.#exchanges.find(asker, CONNECT_KEY);
    if (first !== undefined && isConnected(bytes, start, end)) {
      this.#exchanges.answer(first, frame);
      // A session that is gone gets no timeout.
      if (readUint32(bytes, start + 8) === 0) first.errorType = "SESSIONEXPIRED";
      this.#exchanges.end(first, frame.endNs);
      return TAKEN;
    }
    const xid = readUint32(bytes, start + 4) | 0;
    if (xid === WATCH_XID || xid === PING_XID) return TAKEN;
    if (end - start < RESPONSE_HEADER_BYTES) return frame.length > end - start ? TAKEN : MALFORMED;
    const asked = this.#exchanges.find(asker, xid);
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    const error = readUint32(bytes, start + 16) | 0;
    if (error !== 0) {
      asked.errorType = errorName(error);
      asked.details.status = String(error);
    }
    this.#exchanges.end(asked, frame.endNs);
    return TAKEN;
  }
}
