// SPDX-License-Identifier: Apache-2.0
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT } from "./wire.ts";

const decoder = new TextDecoder();

/** An attribute's value: scalars as they are, bytes as a view, arrays and maps decoded. */
export type AttributeValue =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly AttributeValue[]
  | ReadonlyMap<string, AttributeValue>
  | undefined;

const VALUE_DEPTH_MAX = 32;

/** Decodes an AnyValue. Integers outside the safe range come as bigint; empty is undefined. */
export function decodeAnyValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  depth = 0,
): AttributeValue {
  const reader = new FieldReader().reset(bytes, start, end);
  let value: AttributeValue;
  while (reader.next()) {
    const { field, wireType } = reader;
    if (field === 1 && wireType === WIRE_BYTES) value = textOf(reader);
    else if (field === 2 && wireType === WIRE_VARINT) value = reader.low !== 0;
    else if (field === 3 && wireType === WIRE_VARINT) value = int64Of(reader);
    else if (field === 4 && wireType === WIRE_FIXED64) value = doubleOf(reader);
    else if (field === 7 && wireType === WIRE_BYTES) {
      value = bytes.subarray(reader.start, reader.stop);
    } else if ((field === 5 || field === 6) && wireType === WIRE_BYTES && depth < VALUE_DEPTH_MAX) {
      value = field === 5 ? arrayOf(reader, depth + 1) : mapOf(reader, depth + 1);
    }
  }
  return value;
}

function textOf(reader: FieldReader): string {
  return decoder.decode(reader.bytes.subarray(reader.start, reader.stop));
}

function int64Of(reader: FieldReader): number | bigint {
  if (reader.high < 0x200000) return reader.high * 2 ** 32 + reader.low;
  const exact = BigInt.asIntN(64, (BigInt(reader.high) << 32n) | BigInt(reader.low));
  const rounded = Number(exact);
  return Number.isSafeInteger(rounded) ? rounded : exact;
}

function doubleOf(reader: FieldReader): number {
  const { bytes, start } = reader;
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(start, true);
}

function arrayOf(outer: FieldReader, depth: number): readonly AttributeValue[] {
  const reader = new FieldReader().reset(outer.bytes, outer.start, outer.stop);
  const values: AttributeValue[] = [];
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_BYTES) continue;
    values.push(decodeAnyValue(outer.bytes, reader.start, reader.stop, depth));
  }
  return values;
}

function mapOf(outer: FieldReader, depth: number): ReadonlyMap<string, AttributeValue> {
  const reader = new FieldReader().reset(outer.bytes, outer.start, outer.stop);
  const map = new Map<string, AttributeValue>();
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === WIRE_BYTES) putKeyValue(map, reader, depth);
  }
  return map;
}

function putKeyValue(map: Map<string, AttributeValue>, outer: FieldReader, depth = 0): void {
  const reader = new FieldReader().reset(outer.bytes, outer.start, outer.stop);
  let key = "";
  let value: AttributeValue;
  while (reader.next()) {
    if (reader.wireType !== WIRE_BYTES) continue;
    if (reader.field === 1) key = textOf(reader);
    else if (reader.field === 2) {
      value = decodeAnyValue(outer.bytes, reader.start, reader.stop, depth);
    }
  }
  map.set(key, value);
}

/** A message that has attributes, as bytes. Nothing is decoded before it is asked for. */
export interface MessageView {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** All attributes of a message whose attributes stand in `field`. */
export function attributesOf(
  view: MessageView,
  field: number,
): ReadonlyMap<string, AttributeValue> {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  const map = new Map<string, AttributeValue>();
  while (reader.next()) {
    if (reader.field === field && reader.wireType === WIRE_BYTES) putKeyValue(map, reader);
  }
  return map;
}

/**
 * One span read in place. A cursor: `forEachSpan` moves it, so nothing of it is valid after the
 * visit except what its methods have returned.
 */
export class SpanView implements MessageView {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  /** Offsets in `bytes`, -1 when absent: `[start, stop)` of each text and id. */
  traceIdStart = -1;
  spanIdStart = -1;
  parentSpanIdStart = -1;
  nameStart = -1;
  nameStop = -1;
  startTimeAt = -1;
  endTimeAt = -1;
  statusStart = -1;
  statusStop = -1;
  /** SpanKind of opentelemetry-proto: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind = 0;
  readonly #reader = new FieldReader();

  reset(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.traceIdStart = -1;
    this.spanIdStart = -1;
    this.parentSpanIdStart = -1;
    this.nameStart = -1;
    this.nameStop = -1;
    this.startTimeAt = -1;
    this.endTimeAt = -1;
    this.statusStart = -1;
    this.statusStop = -1;
    this.kind = 0;
    const reader = this.#reader.reset(bytes, start, end);
    while (reader.next()) this.#place(reader);
    return this;
  }

  #place(reader: FieldReader): void {
    const { start, stop, wireType } = reader;
    if (wireType === WIRE_BYTES) {
      const length = stop - start;
      if (reader.field === 1 && length === 16) this.traceIdStart = start;
      else if (reader.field === 2 && length === 8) this.spanIdStart = start;
      else if (reader.field === 4 && length === 8) this.parentSpanIdStart = start;
      else if (reader.field === 5) {
        this.nameStart = start;
        this.nameStop = stop;
      } else if (reader.field === 15) {
        this.statusStart = start;
        this.statusStop = stop;
      }
    } else if (wireType === WIRE_FIXED64) {
      if (reader.field === 7) this.startTimeAt = start;
      else if (reader.field === 8) this.endTimeAt = start;
    } else if (reader.field === 6) this.kind = reader.low;
  }

  get name(): string {
    return this.nameStart < 0
      ? ""
      : decoder.decode(this.bytes.subarray(this.nameStart, this.nameStop));
  }

  /** 32 hex digits, or "". */
  get traceId(): string {
    return this.#hex(this.traceIdStart, 16);
  }

  /** 16 hex digits, or "". */
  get spanId(): string {
    return this.#hex(this.spanIdStart, 8);
  }

  /** 16 hex digits, or "" of a root span. */
  get parentSpanId(): string {
    return this.#hex(this.parentSpanIdStart, 8);
  }

  #hex(start: number, length: number): string {
    if (start < 0) return "";
    const { bytes } = this;
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString("hex");
  }

  /** Nanoseconds since the epoch as a double: exact to 256 ns. */
  get startTimeNs(): number {
    return this.#time(this.startTimeAt);
  }

  /** Nanoseconds since the epoch as a double: exact to 256 ns. */
  get endTimeNs(): number {
    return this.#time(this.endTimeAt);
  }

  /** Nanoseconds from start to end, exact below 2^53. */
  get durationNs(): number {
    if (this.startTimeAt < 0 || this.endTimeAt < 0) return 0;
    const low = readFixed32(this.bytes, this.endTimeAt) - readFixed32(this.bytes, this.startTimeAt);
    const high =
      readFixed32(this.bytes, this.endTimeAt + 4) - readFixed32(this.bytes, this.startTimeAt + 4);
    return high * 2 ** 32 + low;
  }

  #time(at: number): number {
    if (at < 0) return 0;
    return readFixed32(this.bytes, at + 4) * 2 ** 32 + readFixed32(this.bytes, at);
  }

  /** StatusCode of opentelemetry-proto: 0 unset, 1 ok, 2 error. */
  get statusCode(): number {
    const reader = this.#reader.reset(this.bytes, this.statusStart, this.statusStop);
    let code = 0;
    while (reader.next()) if (reader.field === 3) code = reader.low;
    return code;
  }

  get statusMessage(): string {
    const reader = this.#reader.reset(this.bytes, this.statusStart, this.statusStop);
    let message = "";
    while (reader.next()) {
      if (reader.field === 2 && reader.wireType === WIRE_BYTES) message = textOf(reader);
    }
    return message;
  }

  attributes(): ReadonlyMap<string, AttributeValue> {
    return attributesOf(this, 9);
  }

  /** Events in this span. */
  get events(): number {
    const reader = this.#reader.reset(this.bytes, this.start, this.end);
    let count = 0;
    while (reader.next()) if (reader.field === 11) count++;
    return count;
  }
}

/** Which resource and scope the visited span belongs to; the bytes of their messages. */
export interface SpanContext {
  readonly resource: MessageView;
  readonly scope: MessageView;
}

/**
 * Visits the spans of a request body in order. `context.resource` and `context.scope` are the
 * same objects for all spans of one resource or scope, so a visitor can keep what it read.
 * Stops at malformed bytes.
 */
export function forEachSpan(
  chunk: Uint8Array,
  visit: (span: SpanView, context: SpanContext) => void,
): void {
  const span = new SpanView();
  eachMessage(chunk, { start: 0, end: chunk.length, field: 1 }, (resourceSpans) => {
    const resource = firstMessage(resourceSpans, 1);
    eachMessage(chunk, { ...resourceSpans, field: 2 }, (scopeSpans) => {
      const context = { resource, scope: firstMessage(scopeSpans, 1) };
      const reader = new FieldReader().reset(chunk, scopeSpans.start, scopeSpans.end);
      while (reader.next()) {
        if (reader.field !== 2 || reader.wireType !== WIRE_BYTES) continue;
        visit(span.reset(chunk, reader.start, reader.stop), context);
      }
    });
  });
}

/** The messages in a repeated field. */
export function messagesIn(view: MessageView, field: number): MessageView[] {
  const messages: MessageView[] = [];
  eachMessage(view.bytes, { start: view.start, end: view.end, field }, (message) => {
    messages.push(message);
  });
  return messages;
}

/** The last text in a field, or "". */
export function textIn(view: MessageView, field: number): string {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  let text = "";
  while (reader.next()) {
    if (reader.field === field && reader.wireType === WIRE_BYTES) text = textOf(reader);
  }
  return text;
}

/** A whole request body as a view. */
export function viewOf(bytes: Uint8Array): MessageView {
  return { bytes, start: 0, end: bytes.length };
}

function eachMessage(
  bytes: Uint8Array,
  { start, end, field }: { readonly start: number; readonly end: number; readonly field: number },
  visit: (view: MessageView) => void,
): void {
  const reader = new FieldReader().reset(bytes, start, end);
  while (reader.next()) {
    if (reader.field !== field || reader.wireType !== WIRE_BYTES) continue;
    visit({ bytes, start: reader.start, end: reader.stop });
  }
}

function firstMessage(view: MessageView, field: number): MessageView {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  while (reader.next()) {
    if (reader.field === field && reader.wireType === WIRE_BYTES) {
      return { bytes: view.bytes, start: reader.start, end: reader.stop };
    }
  }
  return { bytes: view.bytes, start: 0, end: 0 };
}
