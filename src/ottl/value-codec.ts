// SPDX-License-Identifier: Apache-2.0
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT } from "../pdata/wire.ts";
import { Duration, Float, OttlEvaluationError, Time, toFloat, type Value } from "./value.ts";

/** Tags of AnyValue's kinds (opentelemetry-proto, common.proto). */
const STRING = 0x0a;
const BOOL = 0x10;
const INT = 0x18;
const DOUBLE = 0x21;
const ARRAY = 0x2a;
const KVLIST = 0x32;
const BYTES = 0x3a;
const DEPTH_MAX = 32;
/** Short texts come again: routes, names, states. */
const KNOWN_MAX = 512;
const KNOWN_CHARACTERS_MAX = 100;

const scratch = new DataView(new ArrayBuffer(8));

/** The text in `[start, stop)`. */
export function textAt(bytes: Uint8Array, start: number, stop: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString("utf8");
}

export function doubleAt(bytes: Uint8Array, at: number): number {
  scratch.setUint32(0, readFixed32(bytes, at), true);
  scratch.setUint32(4, readFixed32(bytes, at + 4), true);
  return scratch.getFloat64(0, true);
}

/** A signed 64-bit integer of two halves. */
export function int64(low: number, high: number): number | bigint {
  if (high < 0x200000) return high * 2 ** 32 + low;
  const exact = BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
  const rounded = Number(exact);
  return Number.isSafeInteger(rounded) ? rounded : exact;
}

/** Decodes an AnyValue; unlike `decodeAnyValue` it tells a double from an integer. */
export function decodeValue(bytes: Uint8Array, start: number, stop: number, depth = 0): Value {
  if (bytes[start] === STRING && start + 2 + (bytes[start + 1] ?? 0) === stop) {
    if ((bytes[start + 1] ?? 0x80) < 0x80) return textAt(bytes, start + 2, stop);
  }
  const reader = new FieldReader().reset(bytes, start, stop);
  let value: Value;
  while (reader.next()) {
    const { field, wireType } = reader;
    if (field === 1 && wireType === WIRE_BYTES) value = textAt(bytes, reader.start, reader.stop);
    else if (field === 2 && wireType === WIRE_VARINT) value = reader.low !== 0;
    else if (field === 3 && wireType === WIRE_VARINT) value = int64(reader.low, reader.high);
    else if (field === 4 && wireType === WIRE_FIXED64) {
      value = toFloat(doubleAt(bytes, reader.start));
    } else if (field === 7 && wireType === WIRE_BYTES) {
      value = bytes.slice(reader.start, reader.stop);
    } else if ((field === 5 || field === 6) && wireType === WIRE_BYTES && depth < DEPTH_MAX) {
      value = field === 5 ? listOf(reader, depth + 1) : mapOf(reader, 1, depth + 1);
    }
  }
  return value;
}

function listOf(outer: FieldReader, depth: number): Value[] {
  const reader = new FieldReader().reset(outer.bytes, outer.start, outer.stop);
  const values: Value[] = [];
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_BYTES) continue;
    values.push(decodeValue(outer.bytes, reader.start, reader.stop, depth));
  }
  return values;
}

function mapOf(
  outer: { readonly bytes: Uint8Array; readonly start: number; readonly stop: number },
  field: number,
  depth: number,
): Map<string, Value> {
  const reader = new FieldReader().reset(outer.bytes, outer.start, outer.stop);
  const inner = new FieldReader();
  const map = new Map<string, Value>();
  while (reader.next()) {
    if (reader.field !== field || reader.wireType !== WIRE_BYTES) continue;
    inner.reset(outer.bytes, reader.start, reader.stop);
    let key = "";
    let value: Value;
    while (inner.next()) {
      if (inner.wireType !== WIRE_BYTES) continue;
      if (inner.field === 1) key = textAt(inner.bytes, inner.start, inner.stop);
      else if (inner.field === 2) value = decodeValue(inner.bytes, inner.start, inner.stop, depth);
    }
    map.set(key, value);
  }
  return map;
}

const known = new Map<string, Uint8Array>();

/** An encoded AnyValue; it must not be changed. */
export function encodeValue(value: Value): Uint8Array {
  if (typeof value === "string" && value.length <= KNOWN_CHARACTERS_MAX) {
    const found = known.get(value);
    if (found !== undefined) return found;
    const encoded = encoded1(value);
    if (known.size >= KNOWN_MAX) known.clear();
    known.set(value, encoded);
    return encoded;
  }
  return encoded1(value);
}

const writer = new ProtoWriter(1024);

function encoded1(value: Value): Uint8Array {
  writer.reset();
  writeValue(writer, value);
  return writer.take();
}

function writeValue(out: ProtoWriter, value: Value): void {
  out.reserve(24);
  if (typeof value === "string") out.stringField(STRING, value);
  else if (typeof value === "boolean") {
    out.byte(BOOL);
    out.byte(value ? 1 : 0);
  } else if (typeof value === "bigint") {
    out.byte(INT);
    writeBigInt(out, value);
  } else if (typeof value === "number" && Number.isSafeInteger(value)) {
    out.byte(INT);
    out.int64(value);
  } else if (typeof value === "number" || value instanceof Float) {
    out.byte(DOUBLE);
    out.double(typeof value === "number" ? value : value.value);
  } else if (value instanceof Uint8Array) out.bytesField(BYTES, value);
  else if (value instanceof Map) writeMap(out, value);
  else if (Array.isArray(value)) writeList(out, value);
  else if (value instanceof Time || value instanceof Duration) {
    throw new OttlEvaluationError("a time or duration is not a value: convert it first");
  }
}

function writeBigInt(out: ProtoWriter, value: bigint): void {
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    out.byte(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.byte(Number(rest));
}

function writeList(out: ProtoWriter, values: readonly Value[]): void {
  const array = out.beginMessage(ARRAY);
  for (const value of values) {
    const element = out.beginMessage(0x0a);
    writeValue(out, value);
    out.endMessage(element);
  }
  out.endMessage(array);
}

function writeMap(out: ProtoWriter, map: ReadonlyMap<string, Value>): void {
  const list = out.beginMessage(KVLIST);
  for (const [key, value] of map) {
    const entry = out.beginMessage(0x0a);
    out.stringField(0x0a, key);
    const inner = out.beginMessage(0x12);
    writeValue(out, value);
    out.endMessage(inner);
    out.endMessage(entry);
  }
  out.endMessage(list);
}
