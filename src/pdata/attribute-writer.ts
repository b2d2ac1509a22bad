// SPDX-License-Identifier: Apache-2.0
import type { AttributeKey, AttributeSink } from "../model/attribute.ts";
import { type ProtoWriter, toValidUtf8, varintBytes } from "./proto-writer.ts";

const encoder = new TextEncoder();

/** Tag of KeyValue.key and of KeyValue.value; tags of AnyValue's kinds (common.proto). */
const KEY = 0x0a;
const VALUE = 0x12;
const STRING_VALUE = 0x0a;
const BOOL_VALUE = 0x10;
const INT_VALUE = 0x18;
const DOUBLE_VALUE = 0x21;
const ARRAY_VALUE = 0x2a;
const BYTES_VALUE = 0x3a;
const ARRAY_VALUES = 0x0a;

/** Fields that hold repeated KeyValue: Resource, Span and HistogramDataPoint. */
export const RESOURCE_ATTRIBUTES = 0x0a;
export const SPAN_ATTRIBUTES = 0x4a;
export const HISTOGRAM_ATTRIBUTES = 0x4a;

/** Room for a KeyValue besides key and value: three tags, three lengths, the field's tag. */
const OVERHEAD_BYTES = 32;

/** Key and value together up to which all lengths of a KeyValue fit one byte each. */
const SHORT_BYTES = 110;

/** Writes KeyValue messages under one field tag into a writer. */
export class AttributeWriter implements AttributeSink {
  readonly #out: ProtoWriter;
  readonly #tag: number;

  constructor(out: ProtoWriter, tag: number) {
    this.#out = out;
    this.#tag = tag;
  }

  string(key: AttributeKey, value: string): void {
    const out = this.#out;
    out.reserve(value.length + key.utf8.length + OVERHEAD_BYTES);
    const start = out.length;
    if (key.utf8.length + value.length <= SHORT_BYTES) this.#shortHeader(key, value.length);
    else this.#header(key, STRING_VALUE, value.length);
    if (out.ascii(value)) return;
    out.length = start;
    this.#payload(key, STRING_VALUE, encoder.encode(value));
  }

  bytes(key: AttributeKey, bytes: Uint8Array, start: number, end: number): void {
    const out = this.#out;
    out.reserve(end - start + key.utf8.length + OVERHEAD_BYTES);
    const before = out.length;
    if (key.utf8.length + end - start <= SHORT_BYTES) this.#shortHeader(key, end - start);
    else this.#header(key, STRING_VALUE, end - start);
    if (out.copyAscii(bytes, start, end)) return;
    out.length = before;
    this.#payload(key, STRING_VALUE, toValidUtf8(bytes.subarray(start, end)));
  }

  /** As an attribute of type bytes; `bytes` of the sink gives a string. */
  opaque(key: AttributeKey, value: Uint8Array): void {
    this.#payload(key, BYTES_VALUE, value);
  }

  int(key: AttributeKey, value: number): void {
    const out = this.#out;
    out.reserve(key.utf8.length + OVERHEAD_BYTES);
    if (value >= 0 && value <= 0x7fffffff && key.utf8.length <= SHORT_BYTES) {
      this.#shortInt(key, value);
      return;
    }
    this.#keyAndValue(key, 1 + (value < 0 ? 10 : varintBytes(value)));
    out.byte(INT_VALUE);
    out.int64(value);
  }

  double(key: AttributeKey, value: number): void {
    const out = this.#out;
    out.reserve(key.utf8.length + OVERHEAD_BYTES);
    this.#keyAndValue(key, 9);
    out.byte(DOUBLE_VALUE);
    out.double(value);
  }

  bool(key: AttributeKey, value: boolean): void {
    const out = this.#out;
    out.reserve(key.utf8.length + OVERHEAD_BYTES);
    this.#keyAndValue(key, 2);
    out.byte(BOOL_VALUE);
    out.byte(value ? 1 : 0);
  }

  stringArray(key: AttributeKey, values: readonly string[]): void {
    const out = this.#out;
    out.reserve(key.utf8.length + OVERHEAD_BYTES);
    const keyValue = out.beginMessage(this.#tag);
    this.#key(key);
    const anyValue = out.beginMessage(VALUE);
    const array = out.beginMessage(ARRAY_VALUE);
    for (const value of values) {
      const element = out.beginMessage(ARRAY_VALUES);
      out.stringField(STRING_VALUE, value);
      out.endMessage(element);
    }
    out.endMessage(array);
    out.endMessage(anyValue);
    out.endMessage(keyValue);
  }

  #payload(key: AttributeKey, kind: number, value: Uint8Array): void {
    this.#out.reserve(value.length + key.utf8.length + OVERHEAD_BYTES);
    this.#header(key, kind, value.length);
    this.#out.copyAll(value);
  }

  /** All of a KeyValue up to the payload of a string or bytes value. */
  #header(key: AttributeKey, kind: number, length: number): void {
    this.#keyAndValue(key, 1 + varintBytes(length) + length);
    this.#out.byte(kind);
    this.#out.varint(length);
  }

  /** As `#header`, for a string so short that every length is one byte: the usual case. */
  #shortHeader(key: AttributeKey, length: number): void {
    const out = this.#out;
    const bytes = out.bytes;
    const utf8 = key.utf8;
    let at = out.length;
    bytes[at++] = this.#tag;
    bytes[at++] = utf8.length + length + 6;
    bytes[at++] = KEY;
    bytes[at++] = utf8.length;
    for (let index = 0; index < utf8.length; index++) bytes[at++] = utf8[index] ?? 0;
    bytes[at++] = VALUE;
    bytes[at++] = length + 2;
    bytes[at++] = STRING_VALUE;
    bytes[at++] = length;
    out.length = at;
  }

  #shortInt(key: AttributeKey, value: number): void {
    const out = this.#out;
    const bytes = out.bytes;
    const utf8 = key.utf8;
    const valueBytes = value < 0x80 ? 1 : varintBytes(value);
    let at = out.length;
    bytes[at++] = this.#tag;
    bytes[at++] = utf8.length + valueBytes + 5;
    bytes[at++] = KEY;
    bytes[at++] = utf8.length;
    for (let index = 0; index < utf8.length; index++) bytes[at++] = utf8[index] ?? 0;
    bytes[at++] = VALUE;
    bytes[at++] = valueBytes + 1;
    bytes[at++] = INT_VALUE;
    out.length = at;
    out.varint(value);
  }

  #keyAndValue(key: AttributeKey, anyValueBytes: number): void {
    const out = this.#out;
    const keyBytes = key.utf8.length;
    const length =
      1 + varintBytes(keyBytes) + keyBytes + 1 + varintBytes(anyValueBytes) + anyValueBytes;
    out.byte(this.#tag);
    out.varint(length);
    this.#key(key);
    out.byte(VALUE);
    out.varint(anyValueBytes);
  }

  #key(key: AttributeKey): void {
    this.#out.byte(KEY);
    this.#out.varint(key.utf8.length);
    this.#out.copy(key.utf8, 0, key.utf8.length);
  }
}
