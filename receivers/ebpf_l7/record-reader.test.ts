// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNECTION_OPENER,
  DATA_NO_PAYLOAD,
  DATA_SEND,
  DATA_SHED,
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
  WIRE_CONNECTION_LOCAL_START,
  WIRE_CONNECTION_PROTOCOL,
  WIRE_CONNECTION_SOCKET,
  WIRE_DATA,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TGID,
  WIRE_HEADER_KIND,
  WIRE_HEADER_TIME_NS,
  WIRE_PROTOCOL_HTTP1,
} from "../../bpf/generated/wire.ts";
import type { Exchange } from "../../src/model/protocol.ts";
import { protocolByWire } from "../../src/protocols/registry.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { Account } from "./account.ts";
import { ConnectionTable } from "./connection-table.ts";
import { DataCursor, type RingMemory } from "./decode.ts";
import { ExchangeTracker } from "./exchange-tracker.ts";
import { RecordReader } from "./record-reader.ts";

const REQUEST = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE = "HTTP/1.1 204 No Content\r\n\r\n";

/** A ring whose records the test writes, and the receiver's parts behind it. */
class Bench {
  readonly memory: RingMemory;
  readonly account: Account;
  readonly telemetry = createMemoryTelemetry();
  readonly table: ConnectionTable;
  readonly reader: RecordReader;
  readonly finished: Exchange[] = [];
  unknown = 0;
  #timeNs = 1000;

  constructor(connectionsMax = 16) {
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
      selection: { process: (pid) => ({ pid, serviceName: "s", attributes: new Map() }) },
      output: {
        spanId: () => {},
        write: (_process, _connection, exchange) => this.finished.push(exchange),
      },
    });
    this.reader = new RecordReader({
      memory: this.memory,
      cursor,
      table: this.table,
      tracker,
      events: tracker,
      account: this.account,
      parserOptions: {
        headBytesMax: 8192,
        pipelinedMax: 16,
        urlQuery: false,
        requestHeaders: [],
        responseHeaders: [],
        routesMax: 10,
      },
      protocolByWire,
      onUnknown: () => {
        this.unknown++;
      },
      onFailure: (error) => assert.ifError(error),
    });
  }

  connection(socket: number, localStart = 100): void {
    const { view } = this.#clear(WIRE_CONNECTION, WIRE_CONNECTION_BYTES);
    view.setBigUint64(WIRE_CONNECTION_SOCKET, BigInt(socket), true);
    view.setUint32(WIRE_CONNECTION_LOCAL_START, localStart, true);
    view.setUint8(WIRE_CONNECTION_FAMILY, 4);
    view.setUint8(WIRE_CONNECTION_FLAGS, CONNECTION_OPENER);
    view.setUint16(WIRE_CONNECTION_PROTOCOL, WIRE_PROTOCOL_HTTP1, true);
    this.reader.onRecord(0);
  }

  data(socket: number, flags: number, position: number, text: string): void {
    const { view, bytes } = this.#clear(WIRE_DATA, WIRE_DATA_BYTES);
    view.setBigUint64(WIRE_DATA_SOCKET, BigInt(socket), true);
    view.setBigUint64(WIRE_DATA_POSITION, BigInt(position), true);
    view.setUint32(WIRE_DATA_LENGTH, text.length, true);
    view.setUint16(WIRE_DATA_CAPTURED, (flags & DATA_NO_PAYLOAD) === 0 ? text.length : 0, true);
    view.setUint8(WIRE_DATA_FLAGS, flags);
    view.setUint32(WIRE_DATA_TGID, 7, true);
    bytes.set(Buffer.from(text), WIRE_DATA_BYTES);
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

test("a request and its response become one exchange", () => {
  const bench = new Bench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.data(1, 0, 0, RESPONSE);
  assert.equal(bench.finished.length, 1);
  assert.equal(bench.table.get(1)?.role, "client");
});

test("a socket that nobody announced is counted and asks for it", async () => {
  const bench = new Bench();
  bench.data(9, DATA_SEND, 0, REQUEST);
  assert.equal(bench.unknown, 1);
  assert.equal(bench.account.recordsUnknownConnection.value, 1);
  assert.equal(bench.account.exchangesStarted.value, 0);
});

test("what is open on a connection that is shed is given up, and later requests are found", async () => {
  const bench = new Bench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.data(1, DATA_SHED | DATA_NO_PAYLOAD, 0, RESPONSE);
  assert.equal(await bench.abandoned("shed"), 1);
  // The first response shows that nothing else is open; from there on it is exact.
  for (const index of [5, 6]) {
    bench.data(1, DATA_SEND, index * REQUEST.length, REQUEST);
    bench.data(1, 0, index * RESPONSE.length, RESPONSE);
  }
  assert.equal(bench.finished.length, 1);
  assert.equal(bench.finished[0]?.requestPosition, 6 * REQUEST.length);
});

test("an end that got further than the records is a gap, not a request without response", async () => {
  const bench = new Bench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.close(1, REQUEST.length, 0);
  assert.equal(bench.finished.length, 1, "nothing came: an error span");
  bench.connection(2, 200);
  bench.data(2, DATA_SEND, 0, REQUEST);
  bench.data(2, 0, 0, "HTTP/1.1 200 OK\r\nContent-Le");
  bench.close(2, REQUEST.length, 500);
  assert.equal(bench.finished.length, 1);
  assert.equal(await bench.abandoned("gap"), 1);
  assert.equal(bench.table.size, 0);
});

test("a connection that is announced again goes on, one of another name starts anew", async () => {
  const bench = new Bench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.connection(1);
  bench.data(1, 0, 0, RESPONSE);
  assert.equal(bench.finished.length, 1);
  bench.data(1, DATA_SEND, REQUEST.length, REQUEST);
  bench.connection(1, 999);
  assert.equal(await bench.abandoned("gap"), 1);
  assert.equal(bench.table.size, 1);
});

test("a full table forgets one and counts what it had open", async () => {
  const bench = new Bench(2);
  for (const socket of [1, 2, 3]) {
    bench.connection(socket, socket);
    bench.data(socket, DATA_SEND, 0, REQUEST);
  }
  assert.equal(bench.table.size, 2);
  assert.equal(bench.table.get(1), undefined);
  assert.equal(await bench.abandoned("evicted"), 1);
  assert.equal(bench.account.connectionsEvicted.value, 1);
});
