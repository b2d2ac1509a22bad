// SPDX-License-Identifier: Apache-2.0
import type { AttributeKey, SpanSink } from "../model/attribute.ts";
import { AttributeWriter, SPAN_ATTRIBUTES } from "./attribute-writer.ts";
import type { ProtoWriter } from "./proto-writer.ts";

/** Tags of trace.proto: ScopeSpans.spans, then fields of Span and Status. */
const SCOPE_SPANS_SPANS = 0x12;
const TRACE_ID = 0x0a;
const SPAN_ID = 0x12;
const PARENT_SPAN_ID = 0x22;
const NAME = 0x2a;
const KIND = 0x30;
const START_TIME = 0x39;
const END_TIME = 0x41;
const STATUS = 0x7a;
const STATUS_MESSAGE = 0x12;
const STATUS_CODE = 0x18;
const STATUS_CODE_ERROR = 2;

/** Span.SpanKind */
export const SPAN_KIND_SERVER = 2;
export const SPAN_KIND_CLIENT = 3;

/**
 * Writes one span after the other into a writer, each as a field `spans` of ScopeSpans. Between
 * `begin` and `end` it is the sink that a protocol describes an exchange to.
 */
export class SpanWriter implements SpanSink {
  readonly #out: ProtoWriter;
  readonly #attributes: AttributeWriter;
  #start = 0;
  #watched: AttributeKey | undefined;
  #watchedSeen = false;

  constructor(out: ProtoWriter) {
    this.#out = out;
    this.#attributes = new AttributeWriter(out, SPAN_ATTRIBUTES);
  }

  /** `watched`: an attribute of which the caller wants to know whether it was written. */
  begin(watched: AttributeKey): void {
    this.#watched = watched;
    this.#watchedSeen = false;
    this.#start = this.#out.beginMessage(SCOPE_SPANS_SPANS);
  }

  get watchedSeen(): boolean {
    return this.#watchedSeen;
  }

  /** Trace id at `ids[trace … trace+16)` and span id at `ids[span … span+8)`. Comes first. */
  ids(ids: Uint8Array, trace: number, span: number): void {
    const out = this.#out;
    out.reserve(28);
    out.byte(TRACE_ID);
    out.byte(16);
    out.copy(ids, trace, trace + 16);
    out.byte(SPAN_ID);
    out.byte(8);
    out.copy(ids, span, span + 8);
  }

  parent(ids: Uint8Array, span: number): void {
    const out = this.#out;
    out.reserve(10);
    out.byte(PARENT_SPAN_ID);
    out.byte(8);
    out.copy(ids, span, span + 8);
  }

  kind(value: number): void {
    this.#out.reserve(2);
    this.#out.byte(KIND);
    this.#out.byte(value);
  }

  startTime(low: number, high: number): void {
    this.#out.reserve(9);
    this.#out.byte(START_TIME);
    this.#out.fixed64(low, high);
  }

  endTime(low: number, high: number): void {
    this.#out.reserve(9);
    this.#out.byte(END_TIME);
    this.#out.fixed64(low, high);
  }

  /** KeyValue fields that were encoded before. */
  encoded(attributes: Uint8Array): void {
    this.#out.reserve(attributes.length);
    this.#out.copy(attributes, 0, attributes.length);
  }

  opaque(key: AttributeKey, value: Uint8Array): void {
    this.#attributes.opaque(key, value);
  }

  name(value: string): void {
    this.#out.stringField(NAME, value);
  }

  error(description: string): void {
    const out = this.#out;
    const status = out.beginMessage(STATUS);
    if (description !== "") out.stringField(STATUS_MESSAGE, description);
    out.reserve(2);
    out.byte(STATUS_CODE);
    out.byte(STATUS_CODE_ERROR);
    out.endMessage(status);
  }

  string(key: AttributeKey, value: string): void {
    this.#watch(key);
    this.#attributes.string(key, value);
  }

  bytes(key: AttributeKey, bytes: Uint8Array, start: number, end: number): void {
    this.#watch(key);
    this.#attributes.bytes(key, bytes, start, end);
  }

  int(key: AttributeKey, value: number): void {
    this.#attributes.int(key, value);
  }

  double(key: AttributeKey, value: number): void {
    this.#attributes.double(key, value);
  }

  bool(key: AttributeKey, value: boolean): void {
    this.#attributes.bool(key, value);
  }

  stringArray(key: AttributeKey, values: readonly string[]): void {
    this.#attributes.stringArray(key, values);
  }

  end(): void {
    this.#out.endMessage(this.#start);
  }

  #watch(key: AttributeKey): void {
    // Keys are one object a module; the names are compared because modules make their own.
    if (!this.#watchedSeen && key.name === this.#watched?.name) this.#watchedSeen = true;
  }
}
