// SPDX-License-Identifier: Apache-2.0
import { ProtoWriter } from "../pdata/proto-writer.ts";
import type { AttributeValue } from "../pdata/span-view.ts";

/** Tags of AnyValue's kinds (opentelemetry-proto, common.proto). */
const STRING = 0x0a;
const BOOL = 0x10;
const INT = 0x18;
const DOUBLE = 0x21;
const ARRAY = 0x2a;
const KVLIST = 0x32;
const BYTES = 0x3a;
const ELEMENT = 0x0a;
const KEY = 0x0a;
const VALUE = 0x12;

/** Encodes a value; whole numbers become integers, as they do from YAML. */
export function encodeAnyValue(value: unknown): Uint8Array {
  const out = new ProtoWriter(64);
  write(out, value);
  return out.take();
}

export function encodeDouble(value: number): Uint8Array {
  const out = new ProtoWriter(16);
  out.byte(DOUBLE);
  out.double(value);
  return out.take();
}

function write(out: ProtoWriter, value: unknown): void {
  if (typeof value === "string") out.stringField(STRING, value);
  else if (typeof value === "boolean") writeBool(out, value);
  else if (typeof value === "bigint") writeBigInt(out, value);
  else if (typeof value === "number") writeNumber(out, value);
  else if (value instanceof Uint8Array) out.bytesField(BYTES, value);
  else if (Array.isArray(value)) writeArray(out, value);
  else if (value instanceof Map) writeMap(out, value);
  else if (typeof value === "object" && value !== null) writeMap(out, Object.entries(value));
}

function writeBool(out: ProtoWriter, value: boolean): void {
  out.reserve(2);
  out.byte(BOOL);
  out.byte(value ? 1 : 0);
}

function writeNumber(out: ProtoWriter, value: number): void {
  out.reserve(11);
  if (Number.isSafeInteger(value)) {
    out.byte(INT);
    out.int64(value);
  } else {
    out.byte(DOUBLE);
    out.double(value);
  }
}

function writeBigInt(out: ProtoWriter, value: bigint): void {
  out.reserve(11);
  out.byte(INT);
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    out.byte(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.byte(Number(rest));
}

function writeArray(out: ProtoWriter, values: readonly unknown[]): void {
  const array = out.beginMessage(ARRAY);
  for (const value of values) {
    const element = out.beginMessage(ELEMENT);
    write(out, value);
    out.endMessage(element);
  }
  out.endMessage(array);
}

function writeMap(out: ProtoWriter, entries: Iterable<readonly [unknown, unknown]>): void {
  const list = out.beginMessage(KVLIST);
  for (const [key, value] of entries) {
    const entry = out.beginMessage(ELEMENT);
    out.stringField(KEY, String(key));
    const inner = out.beginMessage(VALUE);
    write(out, value);
    out.endMessage(inner);
    out.endMessage(entry);
  }
  out.endMessage(list);
}

/** A value as the Collector shows it as text: maps and lists as JSON, bytes in base64. */
export function anyValueText(value: AttributeValue): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "object") return JSON.stringify(jsonOf(value));
  return String(value);
}

function jsonOf(value: AttributeValue): unknown {
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) {
    const sorted = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted.map(([key, item]) => [key, jsonOf(item)]));
  }
  if (Array.isArray(value)) return value.map((item: AttributeValue) => jsonOf(item));
  return typeof value === "bigint" ? Number(value) : value;
}
