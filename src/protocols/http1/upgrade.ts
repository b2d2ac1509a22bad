// SPDX-License-Identifier: Apache-2.0
import type { ConnectionParser, DataRecord, ExchangeEvents } from "../../model/protocol.ts";
import type { HttpExchange } from "../http/exchange.ts";
import { FIELD_UPGRADE } from "../http/fields.ts";
import { Http2Connection } from "../http2/connection.ts";
import { http2Shared } from "../http2/shared.ts";
import { type Beginnings, WebSocketConnection } from "../websocket/connection.ts";
import type { Head } from "./head.ts";

const UPGRADE_OTHER = 0;
const UPGRADE_WEBSOCKET = 1;
/** HTTP/2 in clear text: the request that asked for it is answered on stream 1. */
const UPGRADE_H2C = 2;

const VALUE_BYTES_MAX = 16;

/** What a 101's Upgrade field says. `bytes` are those that `head` parsed. */
function upgradeOf(head: Head, bytes: Uint8Array): number {
  const { notes, notesEnd } = head;
  for (let at = 0; at < notesEnd; at += 3) {
    if (notes[at] !== FIELD_UPGRADE) continue;
    const start = notes[at + 1] ?? 0;
    const end = Math.min(notes[at + 2] ?? 0, start + VALUE_BYTES_MAX);
    const value = new TextDecoder("latin1").decode(bytes.subarray(start, end)).toLowerCase();
    if (value === "websocket") return UPGRADE_WEBSOCKET;
    return value === "h2c" ? UPGRADE_H2C : UPGRADE_OTHER;
  }
  return UPGRADE_OTHER;
}

/** A connection that goes on in another protocol. */
export class Handover {
  readonly #events: ExchangeEvents;
  readonly #handOut: (exchange: HttpExchange) => void;
  #upgrade = UPGRADE_OTHER;
  #exchange: HttpExchange | undefined = undefined;

  /** `handOut` ends an exchange that is complete. */
  constructor(events: ExchangeEvents, handOut: (exchange: HttpExchange) => void) {
    this.#events = events;
    this.#handOut = handOut;
  }

  /** Is it an upgrade to something that is followed? Then the exchange stays open. */
  offer(exchange: HttpExchange, head: Head, bytes: Uint8Array): boolean {
    if (exchange.status !== 101) return false;
    this.#upgrade = upgradeOf(head, bytes);
    if (this.#upgrade !== UPGRADE_OTHER) this.#exchange = exchange;
    return this.#exchange !== undefined;
  }

  /** What follows the connection from here on; undefined if nothing was offered. */
  take(beginnings: Beginnings): ConnectionParser | undefined {
    const exchange = this.#exchange;
    if (exchange === undefined) return undefined;
    this.#exchange = undefined;
    if (this.#upgrade === UPGRADE_WEBSOCKET) {
      const session = new WebSocketConnection(this.#events, exchange, beginnings);
      this.#handOut(exchange);
      return session;
    }
    // The answer is still to come, on stream 1.
    exchange.status = 0;
    exchange.responseStartNs = 0;
    const connection = new Http2Connection(http2Shared(exchange.shared.options), this.#events);
    connection.upgraded(exchange, beginnings.request, beginnings.response);
    return connection;
  }
}

/** The part of a record from `position` on. */
export class RecordRest implements DataRecord {
  readonly direction: DataRecord["direction"];
  readonly timeNs: number;
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly captured: number;
  readonly tailStart: number;
  readonly pid: number;
  readonly tid: number;

  constructor(record: DataRecord, position: number) {
    const skip = position - record.position;
    this.direction = record.direction;
    this.timeNs = record.timeNs;
    this.position = position;
    this.length = record.length - skip;
    this.bytes = record.bytes;
    this.start = record.start + skip;
    this.captured = Math.max(0, record.captured - skip);
    this.tailStart = record.tailStart;
    this.pid = record.pid;
    this.tid = record.tid;
  }
}
