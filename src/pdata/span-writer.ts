// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVER_ADDRESS } from "@opentelemetry/semantic-conventions";
import type { AttributeKey, EncodedBlock, SharedBlock, SpanSink } from "../model/attribute.ts";
import { AttributeWriter, SPAN_ATTRIBUTES } from "./attribute-writer.ts";
import { ProtoWriter } from "./proto-writer.ts";

/** Tags of trace.proto: ScopeSpans.spans, then fields of Span and Status. */
const SCOPE_SPANS_SPANS = 0x12;
const NAME = 0x2a;
const STATUS = 0x7a;
const STATUS_MESSAGE = 0x12;
const STATUS_CODE = 0x18;
const STATUS_CODE_ERROR = 2;

/**
 * Writes one span after the other into a writer, each as a field `spans` of ScopeSpans. Between
 * `begin` and `end` it is the sink that a protocol describes an exchange to.
 */
export class SpanWriter implements SpanSink {
  readonly #out: ProtoWriter;
  readonly #attributes: AttributeWriter;
  #start = 0;
  #hasServerAddress = false;

  constructor(out: ProtoWriter) {
    this.#out = out;
    this.#attributes = new AttributeWriter(out, SPAN_ATTRIBUTES);
  }

  begin(): void {
    this.#hasServerAddress = false;
    this.#start = this.#out.beginMessage(SCOPE_SPANS_SPANS);
  }

  /** Was `server.address` written since `begin`? */
  get hasServerAddress(): boolean {
    return this.#hasServerAddress;
  }

  /** Fields of a span that were encoded before; an array of its own, no view. */
  encoded(fields: Uint8Array): void {
    this.#out.reserve(fields.length);
    this.#out.copyAll(fields);
  }

  block(block: SharedBlock<SpanSink>): void {
    block.encoded ??= encodeBlock(block);
    this.encoded(block.encoded.bytes);
    if (block.encoded.hasServerAddress) this.#hasServerAddress = true;
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
    // Names, not keys, are compared: every module makes its own key.
    if (key.name === ATTR_SERVER_ADDRESS) this.#hasServerAddress = true;
  }
}

function encodeBlock(block: SharedBlock<SpanSink>): EncodedBlock {
  const out = new ProtoWriter(512);
  const span = new SpanWriter(out);
  block.describe(span);
  return { bytes: out.take(), hasServerAddress: span.hasServerAddress };
}
