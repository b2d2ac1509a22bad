// SPDX-License-Identifier: Apache-2.0
import type { Field, Message, ScalarType } from "./otlp-schema.ts";
import { messageNamed } from "./otlp-schema.ts";
import { NESTING_MAX } from "./validate.ts";
import { FieldReader, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64 } from "./wire.ts";

export type JsonResult =
  | { readonly ok: true; readonly json: string }
  /** Where the bytes are malformed, from the first byte. */
  | { readonly ok: false; readonly offset: number };

const decoder = new TextDecoder();

/** Thrown and caught in this file only: unwinds from a malformed nested message. */
class Malformed extends Error {
  readonly offset: number;
  constructor(offset: number) {
    super(`malformed protobuf at byte ${offset}`);
    this.offset = offset;
  }
}

/**
 * Writes a protobuf message as OTLP/JSON (opentelemetry.io/docs/specs/otlp, "JSON Protobuf
 * Encoding"): lowerCamelCase keys in declaration order, ids in hex, 64-bit integers as strings,
 * enums as numbers, bytes in base64. Fields that hold their default are left out, unknown
 * fields too (JSON has no place for them).
 */
export function toOtlpJson(messageName: string, bytes: Uint8Array): JsonResult {
  try {
    const json = messageJson(messageNamed(messageName), bytes, 0, bytes.length, 0);
    return { ok: true, json };
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, offset: error.offset };
    throw error;
  }
}

function messageJson(
  message: Message,
  bytes: Uint8Array,
  start: number,
  end: number,
  depth: number,
): string {
  if (depth >= NESTING_MAX) throw new Malformed(start);
  const reader = new FieldReader().reset(bytes, start, end);
  const values: (string | undefined)[] = [];
  while (reader.next()) {
    const field = message.byNumber[reader.field];
    if (field === undefined) continue;
    const before = values[field.number];
    const value = fieldJson(field, reader, depth);
    if (value === undefined) {
      if (!field.repeated) values[field.number] = undefined;
      continue;
    }
    const joins = field.repeated && before !== undefined;
    values[field.number] = joins ? `${before},${value}` : value;
  }
  if (reader.errorAt >= 0) throw new Malformed(reader.errorAt);
  let json = "";
  for (const field of message.fields) {
    const value = values[field.number];
    if (value === undefined) continue;
    if (json !== "") json += ",";
    json += field.repeated ? `"${field.name}":[${value}]` : `"${field.name}":${value}`;
  }
  return `{${json}}`;
}

/** One value, or undefined when it is a default that JSON leaves out. */
function fieldJson(field: Field, reader: FieldReader, depth: number): string | undefined {
  const keep = field.presence || field.repeated;
  if (field.type === "message") {
    if (reader.wireType !== WIRE_BYTES) throw new Malformed(reader.tagAt);
    const inner = messageNamed(field.message);
    return messageJson(inner, reader.bytes, reader.start, reader.stop, depth + 1);
  }
  if (isTextual(field.type)) {
    if (reader.wireType !== WIRE_BYTES) throw new Malformed(reader.tagAt);
    if (reader.start === reader.stop && !keep) return undefined;
    return textualJson(field.type, reader);
  }
  if (reader.wireType === WIRE_BYTES && field.repeated) return packedJson(field.type, reader);
  const number = numberJson(field.type, reader);
  return isZero(number) && !keep ? undefined : number;
}

function isZero(json: string): boolean {
  return json === "0" || json === '"0"' || json === "false";
}

function isTextual(type: ScalarType): boolean {
  return type === "string" || type === "bytes" || type === "traceId" || type === "spanId";
}

function textualJson(type: ScalarType, reader: FieldReader): string {
  const { bytes, start, stop } = reader;
  if (type === "string") return JSON.stringify(decoder.decode(bytes.subarray(start, stop)));
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start);
  return type === "bytes" ? `"${buffer.toString("base64")}"` : `"${buffer.toString("hex")}"`;
}

/** Packed numbers, joined by commas; undefined when there are none. */
function packedJson(type: ScalarType, outer: FieldReader): string | undefined {
  const reader = new FieldReader();
  let json = "";
  let at = outer.start;
  while (at < outer.stop) {
    if (!readElement(type, { reader, outer, at })) throw new Malformed(at);
    json += json === "" ? numberJson(type, reader) : `,${numberJson(type, reader)}`;
    at = reader.position;
  }
  return json === "" ? undefined : json;
}

interface Element {
  readonly reader: FieldReader;
  readonly outer: FieldReader;
  readonly at: number;
}

/** Puts one packed element where `numberJson` expects a field's value. */
function readElement(type: ScalarType, { reader, outer, at }: Element): boolean {
  reader.reset(outer.bytes, at, outer.stop);
  const size = fixedSize(type);
  if (size === 0) return reader.element();
  reader.start = at;
  reader.stop = at + size;
  reader.position = reader.stop;
  reader.wireType = size === 8 ? WIRE_FIXED64 : WIRE_FIXED32;
  return reader.stop <= outer.stop;
}

/** Bytes of a fixed-size number, 0 for varints. */
export function fixedSize(type: ScalarType): 0 | 4 | 8 {
  if (type === "double" || type === "fixed64" || type === "sfixed64") return 8;
  return type === "fixed32" ? 4 : 0;
}

const WIRE_OF_SIZE = { 0: 0, 4: WIRE_FIXED32, 8: WIRE_FIXED64 } as const;

function numberJson(type: ScalarType, reader: FieldReader): string {
  if (reader.wireType !== WIRE_OF_SIZE[fixedSize(type)]) throw new Malformed(reader.tagAt);
  const { bytes, start, low, high } = reader;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  switch (type) {
    case "double":
      return doubleJson(view.getFloat64(start, true));
    case "fixed64":
      return `"${view.getBigUint64(start, true)}"`;
    case "sfixed64":
      return `"${view.getBigInt64(start, true)}"`;
    case "fixed32":
      return String(view.getUint32(start, true));
    case "uint64":
      return high === 0 ? `"${low}"` : `"${(BigInt(high) << 32n) | BigInt(low)}"`;
    case "int64":
      return high === 0
        ? `"${low}"`
        : `"${BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low))}"`;
    case "bool":
      return low !== 0 || high !== 0 ? "true" : "false";
    case "uint32":
      return String(low);
    case "sint32":
      return String((low >>> 1) ^ -(low & 1));
    default:
      return String(low | 0);
  }
}

function doubleJson(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? "-0" : String(value);
  if (Number.isNaN(value)) return '"NaN"';
  return value > 0 ? '"Infinity"' : '"-Infinity"';
}
