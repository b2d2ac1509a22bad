// SPDX-License-Identifier: Apache-2.0
/**
 * Where the agent's CPU of a span goes, stage by stage: records in a ring as the kernel writes them
 * for a watched server, read and parsed, encoded, stitched. No kernel, no timers, no network: what
 * is left is the code itself. Of many drains the tenth percentile is told, which other work on the
 * machine hardly changes. `node bench/agent-path.ts [drains]`
 */
import {
  CONNECTION_ACCEPTER,
  DATA_SEND,
  WIRE_CONNECTION,
  WIRE_CONNECTION_BYTES,
  WIRE_CONNECTION_FAMILY,
  WIRE_CONNECTION_FLAGS,
  WIRE_CONNECTION_LOCAL_PORT,
  WIRE_CONNECTION_LOCAL_START,
  WIRE_CONNECTION_PROTOCOL,
  WIRE_CONNECTION_REMOTE_PORT,
  WIRE_CONNECTION_REMOTE_START,
  WIRE_CONNECTION_SOCKET,
  WIRE_CONNECTION_TGID,
  WIRE_DATA,
  WIRE_DATA_BYTES,
  WIRE_DATA_CAPTURED,
  WIRE_DATA_FLAGS,
  WIRE_DATA_LENGTH,
  WIRE_DATA_POSITION,
  WIRE_DATA_SOCKET,
  WIRE_DATA_TGID,
  WIRE_DATA_TID,
  WIRE_HEADER_KIND,
  WIRE_HEADER_TIME_NS,
  WIRE_PROTOCOL_HTTP1,
} from "../bpf/generated/wire.ts";
import { configSchema as stitchSchema } from "../processors/span_stitch/config.ts";
import { SpanStitch } from "../processors/span_stitch/span-stitch.ts";
import { Account } from "../receivers/ebpf_l7/account.ts";
import { ConnectionTable } from "../receivers/ebpf_l7/connection-table.ts";
import { DataCursor, type RingMemory } from "../receivers/ebpf_l7/decode.ts";
import { SignalOutput } from "../receivers/ebpf_l7/exchange-output.ts";
import { ExchangeTracker } from "../receivers/ebpf_l7/exchange-tracker.ts";
import { ProtocolChoice } from "../receivers/ebpf_l7/protocol-choice.ts";
import { protocolRules } from "../receivers/ebpf_l7/protocol-rules.ts";
import { RecordReader } from "../receivers/ebpf_l7/record-reader.ts";
import type { SelectedProcess } from "../src/model/process.ts";
import { protocolByWire } from "../src/protocols/registry.ts";
import { EpochClock } from "../src/spans/epoch-clock.ts";
import { ResourceBatcher } from "../src/spans/resource-batcher.ts";
import { SpanEncoder } from "../src/spans/span-encoder.ts";
import { createMemoryTelemetry } from "../src/telemetry/memory-telemetry.ts";

const CONNECTIONS = 64;
/** As of 20,000 requests/s, read every 20 ms. */
const SPANS_PER_DRAIN = 400;
const DRAIN_NS = 20e6;
const PID = 4711;
const TWO_TO_32 = 2 ** 32;
const REQUEST = "GET /orders/1234 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: load\r\n\r\n";
const RESPONSE =
  "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 15:14:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\nconstant\n";

/** Records of one drain at their places, written anew for each. */
class FakeRing {
  readonly memory: RingMemory;
  readonly offsets: number[] = [];
  readonly #positions = new Float64Array(2 * CONNECTIONS);
  #next = 0;

  constructor() {
    const buffer = new ArrayBuffer(1 << 20);
    const bytes = new Uint8Array(buffer);
    this.memory = { bytes, u32: new Uint32Array(buffer), view: new DataView(buffer) };
  }

  connection(socket: number, timeNs: number): number {
    const { bytes, view } = this.memory;
    bytes.fill(0, 0, WIRE_CONNECTION_BYTES);
    view.setUint16(WIRE_HEADER_KIND, WIRE_CONNECTION, true);
    this.#u64(WIRE_HEADER_TIME_NS, timeNs);
    this.#u64(WIRE_CONNECTION_SOCKET, socket);
    view.setUint32(WIRE_CONNECTION_TGID, PID, true);
    view.setUint32(WIRE_CONNECTION_LOCAL_START, socket * 7919, true);
    view.setUint32(WIRE_CONNECTION_REMOTE_START, socket * 104_729, true);
    view.setUint8(WIRE_CONNECTION_FAMILY, 4);
    view.setUint8(WIRE_CONNECTION_FLAGS, CONNECTION_ACCEPTER);
    view.setUint16(WIRE_CONNECTION_LOCAL_PORT, 8080, true);
    view.setUint16(WIRE_CONNECTION_REMOTE_PORT, 40_000 + socket, true);
    view.setUint16(WIRE_CONNECTION_PROTOCOL, WIRE_PROTOCOL_HTTP1, true);
    return 0;
  }

  /** The requests and responses of `SPANS_PER_DRAIN` exchanges, from `startNs` on. */
  fill(startNs: number): void {
    this.offsets.length = 0;
    let at = 0;
    for (let span = 0; span < SPANS_PER_DRAIN; span++) {
      const socket = (this.#next++ % CONNECTIONS) + 1;
      const timeNs = startNs + (span * DRAIN_NS) / SPANS_PER_DRAIN;
      at = this.#data(at, { socket, flags: 0, text: REQUEST, timeNs });
      at = this.#data(at, { socket, flags: DATA_SEND, text: RESPONSE, timeNs: timeNs + 20_000 });
    }
  }

  #data(at: number, call: { socket: number; flags: number; text: string; timeNs: number }): number {
    const { bytes, view } = this.memory;
    const { socket, flags, text } = call;
    const stream = 2 * (socket - 1) + (flags === 0 ? 0 : 1);
    bytes.fill(0, at, at + WIRE_DATA_BYTES);
    view.setUint16(at + WIRE_HEADER_KIND, WIRE_DATA, true);
    this.#u64(at + WIRE_HEADER_TIME_NS, call.timeNs);
    this.#u64(at + WIRE_DATA_SOCKET, socket);
    this.#u64(at + WIRE_DATA_POSITION, this.#positions[stream] ?? 0);
    this.#positions[stream] = (this.#positions[stream] ?? 0) + text.length;
    view.setUint32(at + WIRE_DATA_LENGTH, text.length, true);
    view.setUint16(at + WIRE_DATA_CAPTURED, text.length, true);
    view.setUint8(at + WIRE_DATA_FLAGS, flags);
    view.setUint32(at + WIRE_DATA_TGID, PID, true);
    view.setUint32(at + WIRE_DATA_TID, PID, true);
    for (let i = 0; i < text.length; i++) bytes[at + WIRE_DATA_BYTES + i] = text.charCodeAt(i);
    this.offsets.push(at);
    return (at + WIRE_DATA_BYTES + text.length + 15) & ~7;
  }

  #u64(at: number, value: number): void {
    this.memory.u32[at >>> 2] = value % TWO_TO_32;
    this.memory.u32[(at >>> 2) + 1] = value / TWO_TO_32;
  }
}

function createAgent(memory: RingMemory, clock: { nowMs: () => number }) {
  const { telemetry } = createMemoryTelemetry();
  const account = new Account(telemetry);
  const table = new ConnectionTable(1024);
  const cursor = new DataCursor(memory);
  const process: SelectedProcess = {
    pid: PID,
    serviceName: "shop",
    attributes: new Map<string, string | number>([["process.pid", PID]]),
  };
  const batcher = new ResourceBatcher({ version: "0.1.0" });
  const encoder = new SpanEncoder({ clock: new EpochClock(1_790_000_000_000_000_000n), batcher });
  const output = new SignalOutput({ encoder, traces: true, measurements: undefined });
  const selection = { process: () => process };
  const tracker = new ExchangeTracker({ table, cursor, account, selection, output });
  const options = {
    headBytesMax: 8192,
    pipelinedMax: 256,
    urlQuery: false,
    requestHeaders: [],
    responseHeaders: [],
    routesMax: 200,
    rawStatements: false,
  };
  const fail = (error: unknown): never => {
    throw error;
  };
  const choice = new ProtocolChoice({
    ...{ cursor, account, protocolByWire },
    rules: protocolRules.parse({}),
    parserOptions: () => options,
    verdicts: { decide: () => {}, announceAgain: () => {} },
    serviceOf: () => "shop",
  });
  const reader = new RecordReader({
    ...{ memory, cursor, table, tracker, account, choice },
    events: tracker,
    onUnknown: () => fail(new Error("a record of an unknown connection")),
    onFailure: fail,
  });
  const settings = {
    ...{ id: "span_stitch", telemetry, buildInfo: { version: "0" } },
    ...{ signal: "traces" as const, pipelineId: "traces" },
  };
  const stitch = new SpanStitch(settings, stitchSchema.parse({}), clock);
  return { reader, batcher, stitch };
}

function measure(drains: number): void {
  let nowMs = 1000;
  const ring = new FakeRing();
  const { reader, batcher, stitch } = createAgent(ring.memory, { nowMs: () => nowMs });
  for (let socket = 1; socket <= CONNECTIONS; socket++) {
    reader.onRecord(ring.connection(socket, nowMs * 1e6));
  }
  const stages: Record<string, Float64Array> = {
    "parse and encode": new Float64Array(drains),
    batch: new Float64Array(drains),
    stitch: new Float64Array(drains),
    all: new Float64Array(drains),
  };
  const note = (stage: string, drain: number, ms: number): void => {
    const column = stages[stage];
    if (column !== undefined) column[drain] = (ms * 1e6) / SPANS_PER_DRAIN;
  };
  let spans = 0;
  const cpu = process.cpuUsage();
  for (let drain = 0; drain < drains; drain++) {
    ring.fill(nowMs * 1e6);
    const begin = performance.now();
    for (let i = 0; i < ring.offsets.length; i++) reader.onRecord(ring.offsets[i] ?? 0);
    const parsed = performance.now();
    const batch = batcher.take();
    const taken = performance.now();
    if (batch !== undefined) stitch.add(batch);
    for (const { items } of stitch.takeBatches()) spans += items;
    const end = performance.now();
    note("parse and encode", drain, parsed - begin);
    note("batch", drain, taken - parsed);
    note("stitch", drain, end - taken);
    note("all", drain, end - begin);
    nowMs += DRAIN_NS / 1e6;
  }
  const used = process.cpuUsage(cpu);
  for (const [stage, column] of Object.entries(stages)) {
    const sorted = column.slice(drains >> 2).sort();
    const at = (share: number): string =>
      (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(0);
    console.log(`${stage}: ${at(0.1)} ns a span (median ${at(0.5)})`);
  }
  const all = ((used.user + used.system) * 1000) / spans;
  console.log(
    `${spans} spans; CPU with making the records and garbage: ${all.toFixed(0)} ns a span`,
  );
}

measure(Number(process.argv[2] ?? 1000));
