// SPDX-License-Identifier: Apache-2.0
import type { ConnectionParser, DataRecord, ExchangeEvents } from "../../model/protocol.ts";
import type { HttpExchange } from "../http/exchange.ts";
import { FIELD_UPGRADE } from "../http/fields.ts";
import { Http2Connection } from "../http2/connection.ts";
import { http2Shared } from "../http2/shared.ts";
import { type Beginnings, WebSocketConnection } from "../websocket/connection.ts";
import type { Head } from "./head.ts";

export const UPGRADE_OTHER = 0;
export const UPGRADE_WEBSOCKET = 1;
/** HTTP/2 in clear text: the request that asked for it is answered on stream 1. */
export const UPGRADE_H2C = 2;

const VALUE_BYTES_MAX = 16;

/** What a 101's Upgrade field says. `bytes` are those that `head` parsed. */
export function upgradeOf(head: Head, bytes: Uint8Array): number {
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

/** What follows the connection from here on. For HTTP/2 `exchange` is open and goes with it. */
export function successorOf(
  upgrade: number,
  exchange: HttpExchange,
  events: ExchangeEvents,
  beginnings: Beginnings,
): ConnectionParser {
  if (upgrade === UPGRADE_WEBSOCKET) return new WebSocketConnection(events, exchange, beginnings);
  const connection = new Http2Connection(http2Shared(exchange.shared.options), events);
  connection.upgraded(exchange, beginnings.request, beginnings.response);
  return connection;
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
