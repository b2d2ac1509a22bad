// SPDX-License-Identifier: Apache-2.0
import {
  WIRE_CLOSE,
  WIRE_CONNECTION,
  WIRE_DATA,
  WIRE_DATAGRAM,
  WIRE_HEADER_KIND,
  WIRE_HEADER_TIME_NS,
  WIRE_PROTOCOL_TLS,
} from "../../bpf/generated/wire.ts";
import { SENT } from "../../src/model/protocol.ts";
import type { Account } from "./account.ts";
import { Connection, type ConnectionEvents } from "./connection.ts";
import type { ConnectionTable } from "./connection-table.ts";
import { DatagramFlows } from "./datagram-flows.ts";
import {
  type CloseRecord,
  type DataCursor,
  decodeClose,
  decodeConnection,
  type RingMemory,
  readU64,
} from "./decode.ts";
import type { ExchangeTracker } from "./exchange-tracker.ts";
import type { OpaqueSpans } from "./opaque-spans.ts";
import type { ProtocolChoice } from "./protocol-choice.ts";

export interface RecordReaderOptions {
  readonly memory: RingMemory;
  readonly cursor: DataCursor;
  readonly table: ConnectionTable;
  readonly tracker: ExchangeTracker;
  readonly events: ConnectionEvents;
  readonly account: Account;
  readonly choice: ProtocolChoice;
  /** A data record of a socket that is not in the table. */
  readonly onUnknown: () => void;
  /** Tells of connections that cannot be read; if wanted. */
  readonly opaqueSpans?: OpaqueSpans | undefined;
  /** A parser failed: a fault of ours. */
  readonly onFailure: (error: unknown) => void;
}

/** Hands each record of the ring to its connection. */
export class RecordReader {
  readonly #options: RecordReaderOptions;
  readonly #flows: DatagramFlows;
  /** Time of the first data record since `startDrain`; 0 if none. */
  firstNs = 0;

  constructor(options: RecordReaderOptions) {
    this.#options = options;
    const { memory, cursor, events, tracker } = options;
    this.#flows = new DatagramFlows({
      ...{ memory, cursor, events },
      parse: (connection) => this.#parse(connection),
      forget: (connection, reason) => tracker.forget(connection, reason),
    });
  }

  startDrain(): void {
    this.firstNs = 0;
  }

  readonly onRecord = (offset: number): void => {
    switch (this.#options.memory.view.getUint16(offset + WIRE_HEADER_KIND, true)) {
      case WIRE_DATA:
        this.#onData(offset);
        return;
      case WIRE_DATAGRAM:
        this.#onDatagram(offset);
        return;
      case WIRE_CONNECTION:
        this.#onConnection(offset);
        return;
      case WIRE_CLOSE:
        this.#onClose(offset);
        return;
      default:
    }
  };

  #onData(offset: number): void {
    const { cursor } = this.#options;
    const connection = this.#connectionAt(offset);
    if (connection === undefined) return;
    connection.lastNs = cursor.timeNs;
    if (cursor.isTls !== connection.isTls && !this.#startTls(connection)) return;
    const end = cursor.position + cursor.length;
    if (cursor.direction === SENT) connection.sentEnd = end;
    else connection.receivedEnd = end;
    if (cursor.isShed) {
      connection.isShed = true;
      this.#options.tracker.forget(connection, "shed");
      return;
    }
    connection.isShed = false;
    this.#parse(connection);
  }

  /** Clear text takes the place of what its socket carries; false for a record of the latter. */
  #startTls(connection: Connection): boolean {
    const { cursor, tracker } = this.#options;
    if (connection.isTls) return false;
    tracker.forget(connection, "gap");
    connection.startTls(cursor.position);
    return true;
  }

  /** Moves the cursor to the record. */
  #connectionAt(offset: number): Connection | undefined {
    const { cursor, table, account } = this.#options;
    cursor.moveTo(offset);
    account.recordsRead.add(1);
    if (this.firstNs === 0) this.firstNs = cursor.timeNs;
    const connection = table.get(cursor.socket);
    if (connection !== undefined) return connection;
    account.recordsUnknownConnection.add(1);
    this.#options.onUnknown();
    return undefined;
  }

  #onDatagram(offset: number): void {
    const socket = this.#connectionAt(offset);
    if (socket === undefined) return;
    socket.lastNs = this.#options.cursor.timeNs;
    this.#flows.onRecord(socket);
  }

  /** Ends the flows of unconnected sockets that had no datagram since `beforeNs`. */
  sweepFlows(beforeNs: number, nowNs: number): void {
    this.#flows.sweep(beforeNs, nowNs);
  }

  shutdown(): void {
    for (const connection of this.#options.table) {
      this.#options.tracker.forget(connection, "shutdown");
    }
    this.#flows.shutdown();
  }

  #parse(connection: Connection): void {
    const { cursor, choice } = this.#options;
    connection.parser ??= choice.createParser(connection);
    try {
      connection.parser.data(cursor);
      connection.replayed = undefined;
      if (connection.needsLook) choice.look(connection);
      else if (cursor.isUndetermined) choice.remind(connection);
    } catch (error) {
      this.#options.account.drainFailures.add(1);
      this.#options.tracker.forget(connection, "gap");
      this.#options.onFailure(error);
    }
  }

  #onConnection(offset: number): void {
    const { memory, table, account, events } = this.#options;
    const record = decodeConnection(memory, offset);
    const known = table.get(record.socket);
    if (known !== undefined) {
      const same =
        known.record.remoteStart === record.remoteStart &&
        known.record.localStart === record.localStart;
      if (same) {
        this.#options.choice.tell(known);
        return;
      }
      this.#drop(known, "gap");
    }
    if (table.isFull) {
      const idle = table.longestIdle();
      if (idle !== undefined) this.evict(idle);
    }
    account.connectionsOpened.add(1);
    const connection = new Connection(record, events);
    if (record.protocol === WIRE_PROTOCOL_TLS) this.#options.choice.meetTls(connection);
    connection.sinceNs = readU64(memory.u32, offset + WIRE_HEADER_TIME_NS);
    table.add(connection);
  }

  #onClose(offset: number): void {
    const { memory, table, account, tracker } = this.#options;
    const record = decodeClose(memory, offset);
    const connection = table.get(record.socket);
    if (connection === undefined) return;
    account.connectionsClosed.add(1);
    this.#tellOpaque(connection, record);
    try {
      if (connection.record.isDatagram) this.#flows.close(connection, record.timeNs, record.error);
      // The positions tell of calls at the end that were seen by the kernel and not captured.
      if (connection.isTls) connection.parser?.close(record.timeNs, record.error);
      else connection.parser?.close(record.timeNs, record.error, record.sent, record.received);
    } catch (error) {
      account.drainFailures.add(1);
      this.#options.onFailure(error);
    }
    // What a parser leaves open at the end has no span.
    tracker.forget(connection, connection.isShed ? "shed" : "gap");
    table.remove(connection);
  }

  #tellOpaque(connection: Connection, record: CloseRecord): void {
    const { opaqueSpans } = this.#options;
    if (opaqueSpans === undefined || connection.opaque === "no" || connection.isTls) return;
    const tell = (): void => opaqueSpans.close(connection, record);
    if (connection.opaque === "yes") tell();
    else connection.onOpaque = tell;
  }

  /** Forgets a connection that still lives; its next call makes the kernel announce it again. */
  evict(connection: Connection): void {
    this.#options.account.connectionsEvicted.add(1);
    this.#drop(connection, "evicted");
  }

  #drop(connection: Connection, reason: "evicted" | "gap"): void {
    if (connection.record.isDatagram) this.#flows.close(connection, connection.lastNs, 0);
    this.#options.tracker.forget(connection, reason);
    this.#options.table.remove(connection);
  }
}
