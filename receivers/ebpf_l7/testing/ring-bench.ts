// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  CONNECTION_DATAGRAMS,
  CONNECTION_OPENER,
  DATA_NO_PAYLOAD,
  WIRE_CLOSE,
  WIRE_CLOSE_BYTES,
  WIRE_CLOSE_ERROR,
  WIRE_CLOSE_RECEIVED,
  WIRE_CLOSE_SENT,
  WIRE_CLOSE_SOCKET,
  WIRE_CONNECTION,
  WIRE_CONNECTION_BYTES,
  WIRE_CONNECTION_FAMILY,
  WIRE_CONNECTION_FLAGS,
  WIRE_CONNECTION_LOCAL_PORT,
  WIRE_CONNECTION_LOCAL_START,
  WIRE_CONNECTION_PROTOCOL,
  WIRE_CONNECTION_REMOTE_PORT,
  WIRE_CONNECTION_SOCKET,
  WIRE_DATA,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TGID,
  WIRE_DATA_TID,
  WIRE_DATA_TRIGGER_POSITION,
  WIRE_DATA_TRIGGER_SOCKET,
  WIRE_DATAGRAM,
  WIRE_HEADER_KIND,
  WIRE_HEADER_TIME_NS,
  WIRE_PEER_ADDRESS,
  WIRE_PEER_BYTES,
  WIRE_PEER_FAMILY,
  WIRE_PEER_PORT,
  WIRE_PROTOCOL_HTTP1,
  WIRE_PROTOCOL_UNDETERMINED,
} from "../../../bpf/generated/wire.ts";
import type { ProcessProtocols } from "../../../src/model/process.ts";
import type { Exchange, Protocol } from "../../../src/model/protocol.ts";
import { KEY_PEER_ABSENT, KEY_PEER_OBSERVED, TRIGGER_NONE } from "../../../src/model/stitch-key.ts";
import { protocolByWire } from "../../../src/protocols/registry.ts";
import { TEST_OPTIONS } from "../../../src/protocols/testing.ts";
import { createMemoryTelemetry } from "../../../src/telemetry/memory-telemetry.ts";
import { Account } from "../account.ts";
import { ConnectionTable } from "../connection-table.ts";
import { DataCursor, type RingMemory } from "../decode.ts";
import { ExchangeTracker } from "../exchange-tracker.ts";
import { ProtocolChoice } from "../protocol-choice.ts";
import { protocolRules } from "../protocol-rules.ts";
import { RecordReader } from "../record-reader.ts";

export const REQUEST = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
export const RESPONSE = "HTTP/1.1 204 No Content\r\n\r\n";

/** Remote port of all connections. */
export const BENCH_PORT = 4000;

/** Who made a call, and what its thread had read last. */
export interface Caller {
  readonly tid?: number;
  readonly pid?: number;
  readonly triggerSocket?: number;
  readonly triggerPosition?: number;
}

/** A ring whose records the test writes, and the receiver's parts behind it. */
export class RingBench {
  readonly memory: RingMemory;
  readonly account: Account;
  readonly telemetry: ReturnType<typeof createMemoryTelemetry> = createMemoryTelemetry();
  readonly table: ConnectionTable;
  readonly reader: RecordReader;
  readonly finished: Exchange[] = [];
  /** TRIGGER_ values of the finished exchanges. */
  readonly triggers: number[] = [];
  /** Requests that may have been open when theirs was written: on the thread, in the process. */
  readonly opens: (readonly [number, number])[] = [];
  /** Of the finished exchanges: their names, whether the other end is watched, its address. */
  readonly names: string[] = [];
  readonly observed: boolean[] = [];
  /** Whether the other end is surely not watched. */
  readonly alone: boolean[] = [];
  readonly remotes: string[] = [];
  /** Socket, local start and protocol of what the kernel was told. */
  readonly verdicts: (readonly number[])[] = [];
  announced = 0;
  /** What the process's target says of protocols. */
  ofTarget: ProcessProtocols | undefined = undefined;
  readonly choice: ProtocolChoice;
  unknown = 0;
  #timeNs = 1000;

  constructor(
    connectionsMax = 16,
    attributes: ReadonlyMap<string, string> = new Map(),
    rules: Readonly<Record<string, unknown>> = {},
    protocols?: readonly Protocol[],
  ) {
    const buffer = new ArrayBuffer(1024);
    this.memory = {
      bytes: new Uint8Array(buffer),
      u32: new Uint32Array(buffer),
      view: new DataView(buffer),
    };
    this.account = new Account(this.telemetry.telemetry);
    this.table = new ConnectionTable(connectionsMax);
    const cursor = new DataCursor(this.memory);
    const tracker = new ExchangeTracker({
      table: this.table,
      cursor,
      account: this.account,
      selection: { process: (pid) => ({ pid, serviceName: "s", attributes }) },
      output: {
        spanId: () => {},
        write: (_process, spans, exchange, facts) => {
          this.finished.push(exchange);
          const { clientStart, serverStart, remoteAddress } = spans.facts;
          const position = facts?.position ?? exchange.requestPosition;
          this.names.push(`${clientStart} ${serverStart} ${position}`);
          this.observed.push(((facts?.flags ?? 0) & KEY_PEER_OBSERVED) !== 0);
          this.alone.push(((facts?.flags ?? 0) & KEY_PEER_ABSENT) !== 0);
          this.remotes.push(remoteAddress);
          this.opens.push([facts?.openServerRequests ?? 0, facts?.openInProcess ?? 0]);
          this.triggers.push(facts?.triggerKind ?? TRIGGER_NONE);
        },
      },
    });
    this.choice = this.#createChoice(cursor, rules, protocols);
    this.reader = new RecordReader({
      memory: this.memory,
      cursor,
      table: this.table,
      tracker,
      events: tracker,
      account: this.account,
      choice: this.choice,
      onUnknown: () => {
        this.unknown++;
      },
      onFailure: (error) => assert.ifError(error),
    });
  }

  #createChoice(
    cursor: DataCursor,
    rules: Readonly<Record<string, unknown>>,
    protocols: readonly Protocol[] | undefined,
  ): ProtocolChoice {
    return new ProtocolChoice({
      cursor,
      rules: protocolRules.parse(rules),
      parserOptions: () => TEST_OPTIONS,
      protocolByWire,
      protocols,
      account: this.account,
      protocolsOf: () => this.ofTarget,
      verdicts: {
        decide: (socket, localStart, protocol) => {
          this.verdicts.push([socket, localStart, protocol]);
        },
        announceAgain: () => {
          this.announced++;
        },
      },
      serviceOf: () => "s",
    });
  }

  /** What is written from here on is so much later. */
  pass(ns: number): void {
    this.#timeNs += ns;
  }

  connection(
    socket: number,
    localStart = 100,
    protocol: number = WIRE_PROTOCOL_HTTP1,
    flags: number = CONNECTION_OPENER,
  ): void {
    const { view } = this.#clear(WIRE_CONNECTION, WIRE_CONNECTION_BYTES);
    view.setBigUint64(WIRE_CONNECTION_SOCKET, BigInt(socket), true);
    view.setUint32(WIRE_CONNECTION_LOCAL_START, localStart, true);
    view.setUint8(WIRE_CONNECTION_FAMILY, 4);
    view.setUint16(WIRE_CONNECTION_REMOTE_PORT, BENCH_PORT, true);
    view.setUint8(WIRE_CONNECTION_FLAGS, flags);
    view.setUint16(WIRE_CONNECTION_PROTOCOL, protocol, true);
    this.reader.onRecord(0);
  }

  data(socket: number, flags: number, position: number, text: string, caller: Caller = {}): void {
    const { view, bytes } = this.#clear(WIRE_DATA, WIRE_DATA_BYTES);
    view.setBigUint64(WIRE_DATA_SOCKET, BigInt(socket), true);
    view.setBigUint64(WIRE_DATA_POSITION, BigInt(position), true);
    view.setUint32(WIRE_DATA_LENGTH, text.length, true);
    view.setUint16(WIRE_DATA_CAPTURED, (flags & DATA_NO_PAYLOAD) === 0 ? text.length : 0, true);
    view.setUint8(WIRE_DATA_FLAGS, flags);
    view.setUint32(WIRE_DATA_TGID, caller.pid ?? 7, true);
    view.setUint32(WIRE_DATA_TID, caller.tid ?? 7, true);
    view.setBigUint64(WIRE_DATA_TRIGGER_SOCKET, BigInt(caller.triggerSocket ?? 0), true);
    view.setBigUint64(WIRE_DATA_TRIGGER_POSITION, BigInt(caller.triggerPosition ?? 0), true);
    bytes.set(Buffer.from(text, "latin1"), WIRE_DATA_BYTES);
    this.reader.onRecord(0);
  }

  /** A UDP socket on `localPort`; `remotePort` 0: not connected. */
  datagramSocket(socket: number, localPort: number, remotePort = 0): void {
    const { view } = this.#clear(WIRE_CONNECTION, WIRE_CONNECTION_BYTES);
    view.setBigUint64(WIRE_CONNECTION_SOCKET, BigInt(socket), true);
    view.setUint8(WIRE_CONNECTION_FAMILY, 4);
    view.setUint8(WIRE_CONNECTION_FLAGS, CONNECTION_DATAGRAMS);
    view.setUint16(WIRE_CONNECTION_LOCAL_PORT, localPort, true);
    view.setUint16(WIRE_CONNECTION_REMOTE_PORT, remotePort, true);
    view.setUint16(WIRE_CONNECTION_PROTOCOL, WIRE_PROTOCOL_UNDETERMINED, true);
    this.reader.onRecord(0);
  }

  datagram(socket: number, flags: number, text: string, peer: readonly [string, number]): void {
    const { view, bytes } = this.#clear(WIRE_DATAGRAM, WIRE_DATA_BYTES);
    view.setBigUint64(WIRE_DATA_SOCKET, BigInt(socket), true);
    view.setUint32(WIRE_DATA_LENGTH, text.length, true);
    view.setUint16(WIRE_DATA_CAPTURED, text.length, true);
    view.setUint8(WIRE_DATA_FLAGS, flags);
    view.setUint32(WIRE_DATA_TID, 7, true);
    bytes.set(Buffer.from(text, "latin1"), WIRE_DATA_BYTES);
    const at = WIRE_DATA_BYTES + text.length;
    bytes.fill(0, at, at + WIRE_PEER_BYTES);
    bytes.set(peer[0].split(".").map(Number), at + WIRE_PEER_ADDRESS);
    view.setUint16(at + WIRE_PEER_PORT, peer[1], true);
    view.setUint8(at + WIRE_PEER_FAMILY, 4);
    this.reader.onRecord(0);
  }

  close(socket: number, sent: number, received: number, error = 0): void {
    const { view } = this.#clear(WIRE_CLOSE, WIRE_CLOSE_BYTES);
    view.setBigUint64(WIRE_CLOSE_SOCKET, BigInt(socket), true);
    view.setBigUint64(WIRE_CLOSE_SENT, BigInt(sent), true);
    view.setBigUint64(WIRE_CLOSE_RECEIVED, BigInt(received), true);
    view.setUint32(WIRE_CLOSE_ERROR, error, true);
    this.reader.onRecord(0);
  }

  abandoned(reason: string): Promise<number> {
    return this.telemetry.value(`backstitch_ebpf_l7_exchanges_abandoned{reason="${reason}"}`);
  }

  #clear(kind: number, bytes: number): RingMemory {
    this.memory.bytes.fill(0, 0, bytes);
    this.memory.view.setUint16(WIRE_HEADER_KIND, kind, true);
    this.memory.view.setBigUint64(WIRE_HEADER_TIME_NS, BigInt(this.#timeNs++), true);
    return this.memory;
  }
}
