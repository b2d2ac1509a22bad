// SPDX-License-Identifier: Apache-2.0
import type { AttributeKey, MeasurementSink, SharedBlock, SpanSink } from "../model/attribute.ts";
import {
  type ConnectionParser,
  type DataRecord,
  type Direction,
  type Exchange,
  type ExchangeEvents,
  type LossReason,
  type ParserOptions,
  type Protocol,
  RECEIVED,
  SENT,
} from "../model/protocol.ts";

/** For tests and the fuzzer: what a receiver would do with a parser, written down as plain values. */

type Value = string | number | boolean | readonly string[];

export interface SeenExchange {
  readonly role: string;
  readonly name: string;
  readonly position: number;
  /** Start, end of request, start of response, end. */
  readonly timesNs: readonly [number, number, number, number];
  readonly threads: readonly [number, number];
  readonly error: string | undefined;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly metric: Readonly<Record<string, Value>>;
  readonly traceContext: string | undefined;
}

export const TEST_OPTIONS: ParserOptions = {
  headBytesMax: 8192,
  pipelinedMax: 16,
  urlQuery: false,
  requestHeaders: [],
  responseHeaders: [],
  routesMax: 100,
  rawStatements: false,
};

/** A record by its fields; `captured` and `tail` default to everything. */
export interface RecordFields {
  readonly direction: Direction;
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly timeNs: number;
  readonly captured?: number;
  readonly tid?: number;
}

export class TestRecord implements DataRecord {
  readonly direction: Direction;
  readonly timeNs: number;
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  /** Not 0, as in a ring. */
  readonly start = 16;
  readonly captured: number;
  readonly tailStart: number;
  readonly pid = 7;
  readonly tid: number;

  constructor(fields: RecordFields) {
    this.direction = fields.direction;
    this.timeNs = fields.timeNs;
    this.position = fields.position;
    this.length = fields.bytes.length;
    this.captured = Math.min(fields.captured ?? this.length, this.length);
    this.tid = fields.tid ?? 70;
    this.bytes = new Uint8Array(this.start + this.captured + 32).fill(0x2e);
    this.bytes.set(fields.bytes.subarray(0, this.captured), this.start);
    const whole = this.captured === this.length;
    this.tailStart = whole ? -1 : this.start + this.captured + 8;
    if (whole) return;
    const tail = new Uint8Array(8);
    const count = Math.min(8, this.length);
    tail.set(fields.bytes.subarray(this.length - count), 8 - count);
    this.bytes.set(tail, this.tailStart);
  }
}

class JsonSink implements SpanSink, MeasurementSink {
  readonly attributes: Record<string, Value> = {};
  spanName = "";
  errorText: string | undefined = undefined;

  block(block: SharedBlock<SpanSink & MeasurementSink>): void {
    block.describe(this);
  }
  instrument(name: string): void {
    this.attributes["instrument"] = name;
  }
  name(value: string): void {
    this.spanName = value;
  }
  error(description: string): void {
    this.errorText = description;
  }
  string(key: AttributeKey, value: string): void {
    this.#set(key, value);
  }
  bytes(key: AttributeKey, bytes: Uint8Array, start: number, end: number): void {
    this.#set(key, new TextDecoder().decode(bytes.subarray(start, end)));
  }
  int(key: AttributeKey, value: number): void {
    this.#set(key, value);
  }
  double(key: AttributeKey, value: number): void {
    this.#set(key, value);
  }
  bool(key: AttributeKey, value: boolean): void {
    this.#set(key, value);
  }
  stringArray(key: AttributeKey, values: readonly string[]): void {
    this.#set(key, [...values]);
  }
  #set(key: AttributeKey, value: Value): void {
    if (key.name in this.attributes) throw new Error(`Attribute ${key.name} is written twice.`);
    this.attributes[key.name] = value;
  }
}

/** A parser with what came out of it; checks the order of events as a receiver relies on it. */
export class Observed implements ExchangeEvents {
  readonly ended: SeenExchange[] = [];
  readonly abandoned: LossReason[] = [];
  readonly losses: LossReason[] = [];
  readonly parser: ConnectionParser;
  readonly #open = new Set<Exchange>();

  constructor(protocol: Protocol, options: ParserOptions = TEST_OPTIONS) {
    this.parser = protocol.createParser(options, this);
  }

  get openCount(): number {
    return this.#open.size;
  }

  begin(exchange: Exchange): void {
    if (this.#open.has(exchange)) throw new Error("An exchange begins twice.");
    if (exchange.link !== undefined) throw new Error("An exchange begins with an old link.");
    exchange.link = this;
    this.#open.add(exchange);
  }

  end(exchange: Exchange): void {
    this.#close(exchange);
    this.ended.push(seen(exchange));
  }

  abandon(exchange: Exchange, reason: LossReason): void {
    this.#close(exchange);
    this.abandoned.push(reason);
  }

  lost(reason: LossReason): void {
    this.losses.push(reason);
  }

  #close(exchange: Exchange): void {
    if (!this.#open.delete(exchange)) throw new Error("An exchange ends that did not begin.");
    if (exchange.link !== this) throw new Error("An exchange's link was changed.");
  }
}

function seen(exchange: Exchange): SeenExchange {
  const span = new JsonSink();
  exchange.describe(span);
  const metric = new JsonSink();
  exchange.measure(metric);
  const context = exchange.traceContext;
  const times = [exchange.startNs, exchange.requestEndNs, exchange.responseStartNs, exchange.endNs];
  for (const time of times) {
    if (!Number.isSafeInteger(time)) throw new Error(`A time is ${time}.`);
  }
  return {
    role: exchange.role,
    name: span.spanName,
    position: exchange.requestPosition,
    timesNs: [exchange.startNs, exchange.requestEndNs, exchange.responseStartNs, exchange.endNs],
    threads: [exchange.requestTid, exchange.responseTid],
    error: span.errorText,
    attributes: span.attributes,
    metric: metric.attributes,
    traceContext:
      context === undefined
        ? undefined
        : `${Buffer.from(context.traceId).toString("hex")}-${Buffer.from(context.spanId).toString("hex")}-${context.sampled}`,
  };
}

/** Sends text through a parser, one record a call, positions and times counted on. */
export class Conversation {
  readonly observed: Observed;
  readonly positions: [number, number] = [0, 0];
  timeNs = 0;

  constructor(protocol: Protocol, options: ParserOptions = TEST_OPTIONS) {
    this.observed = new Observed(protocol, options);
  }

  /** `captured`: bytes of the text that the kernel copied. */
  received(text: string, captured?: number, tid?: number): this {
    return this.#record(RECEIVED, text, captured, tid);
  }

  sent(text: string, captured?: number, tid?: number): this {
    return this.#record(SENT, text, captured, tid);
  }

  /** Bytes that moved without a record. */
  lost(direction: Direction, count: number): this {
    this.positions[direction] += count;
    return this;
  }

  close(error = 0, totals = false): this {
    this.timeNs += 1000;
    const [received, sent] = this.positions;
    if (totals) this.observed.parser.close(this.timeNs, error, sent, received);
    else this.observed.parser.close(this.timeNs, error);
    return this;
  }

  get names(): readonly string[] {
    return this.observed.ended.map((exchange) => exchange.name);
  }

  #record(direction: Direction, text: string, captured?: number, tid?: number): this {
    this.timeNs += 1000;
    const bytes = Buffer.from(text, "latin1");
    const fields = { direction, position: this.positions[direction], bytes, timeNs: this.timeNs };
    const withCapture = captured === undefined ? fields : { ...fields, captured };
    const withThread = tid === undefined ? withCapture : { ...withCapture, tid };
    this.observed.parser.data(new TestRecord(withThread));
    this.positions[direction] += bytes.length;
    return this;
  }
}
