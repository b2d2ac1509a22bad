// SPDX-License-Identifier: Apache-2.0
import { BackwardWriter } from "./backward-writer.ts";
import { JsonMismatch, toInteger, toNumber, toText, unhex } from "./json-scalars.ts";
import {
  type Field,
  type Message,
  messageNamed,
  type ScalarType,
  wireTypeOf,
} from "./otlp-schema.ts";
import { NESTING_MAX } from "./validate.ts";
import { WIRE_BYTES } from "./wire.ts";

export type ProtobufResult =
  | { readonly ok: true; readonly bytes: Uint8Array }
  /** Which value is wrong and why. */
  | { readonly ok: false; readonly message: string };

const utf8 = new TextDecoder("utf-8", { fatal: true });
/** Integers that a double may not hold exactly. */
const LONG_INTEGER = /\d{16}/;

/**
 * Reads OTLP/JSON into protobuf (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding").
 * Unknown keys are ignored, 64-bit integers may be strings or numbers, enums numbers or names,
 * null is absent. Ids must be hex of the exact length, or empty.
 */
export function fromOtlpJson(messageName: string, json: Uint8Array | string): ProtobufResult {
  const path: (string | number)[] = [];
  try {
    const text = typeof json === "string" ? json : utf8.decode(json);
    const root: unknown = LONG_INTEGER.test(text)
      ? JSON.parse(text, keepLongIntegers)
      : JSON.parse(text);
    const writer = new BackwardWriter();
    writeMessage({ writer, path, depth: 0 }, messageNamed(messageName), root);
    return { ok: true, bytes: writer.take() };
  } catch (error) {
    if (error instanceof JsonMismatch) {
      return { ok: false, message: `${pathText(path)}: ${error.message}` };
    }
    if (error instanceof SyntaxError) return { ok: false, message: `not JSON: ${error.message}` };
    if (error instanceof TypeError) return { ok: false, message: "the body is not UTF-8" };
    throw error;
  }
}

/** Gives long integers as text, which `toInteger` reads exactly. */
function keepLongIntegers(_key: string, value: unknown, ...context: readonly unknown[]): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const [origin] = context;
  const isObject = typeof origin === "object" && origin !== null && "source" in origin;
  const source = isObject ? origin.source : undefined;
  return typeof source === "string" && /^-?\d+$/.test(source) ? source : value;
}

function pathText(path: readonly (string | number)[]): string {
  let text = "";
  for (const step of path) {
    text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  }
  return text === "" ? "the body" : text;
}

interface Target {
  readonly writer: BackwardWriter;
  readonly path: (string | number)[];
  readonly depth: number;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function writeMessage(target: Target, message: Message, value: unknown): void {
  if (!isObject(value)) throw new JsonMismatch("expected an object");
  if (target.depth >= NESTING_MAX) throw new JsonMismatch(`nested deeper than ${NESTING_MAX}`);
  const { fields } = message;
  for (let index = fields.length - 1; index >= 0; index--) {
    const field = fields[index];
    if (field === undefined) continue;
    const inner = value[field.name] ?? value[field.protoName];
    if (inner === undefined || inner === null) continue;
    target.path.push(field.name);
    if (field.repeated) writeRepeated(target, field, inner);
    else writeField(target, field, inner);
    target.path.pop();
  }
}

function writeRepeated(target: Target, field: Field, value: unknown): void {
  if (!Array.isArray(value)) throw new JsonMismatch("expected an array");
  const values: readonly unknown[] = value;
  const isPacked = wireTypeOf(field) !== WIRE_BYTES;
  const mark = target.writer.length;
  for (let index = values.length - 1; index >= 0; index--) {
    target.path.push(index);
    if (isPacked) writeScalar(target.writer, field, values[index]);
    else writeField(target, field, values[index]);
    target.path.pop();
  }
  if (isPacked && values.length > 0) target.writer.prefix(field.number, mark);
}

function writeField(target: Target, field: Field, value: unknown): void {
  const { writer } = target;
  const mark = writer.length;
  const isPlain = !field.presence && !field.repeated;
  if (field.type === "message") {
    writeMessage({ ...target, depth: target.depth + 1 }, messageNamed(field.message), value);
    writer.prefix(field.number, mark);
    return;
  }
  const isDefault = writeScalar(writer, field, value);
  if (isDefault && isPlain) {
    writer.rewind(mark);
    return;
  }
  const wireType = wireTypeOf(field);
  if (wireType === WIRE_BYTES) writer.prefix(field.number, mark);
  else writer.tag(field.number, wireType);
}

const ID_BYTES = { traceId: 16, spanId: 8 } as const;

/** Writes the value without its tag; true when it is the type's default. */
function writeScalar(writer: BackwardWriter, field: Field, value: unknown): boolean {
  switch (field.type) {
    case "string": {
      const text = toText(value);
      writer.text(text);
      return text === "";
    }
    case "bytes": {
      const bytes = unbase64(value);
      writer.raw(bytes);
      return bytes.length === 0;
    }
    case "traceId":
    case "spanId": {
      const bytes = unhex(value, ID_BYTES[field.type]);
      writer.raw(bytes);
      return bytes.length === 0;
    }
    case "bool":
      if (typeof value !== "boolean") throw new JsonMismatch("expected true or false");
      writer.varint(value ? 1 : 0);
      return !value;
    case "double": {
      const number = toNumber(value);
      writer.double(number);
      return Object.is(number, 0);
    }
    default:
      return writeInteger(writer, field, value);
  }
}

function unbase64(value: unknown): Uint8Array {
  const text = toText(value);
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw new JsonMismatch("expected base64");
  return Buffer.from(text, "base64");
}

const INT32 = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const UINT32 = { min: 0n, max: 2n ** 32n - 1n };
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const UINT64 = { min: 0n, max: 2n ** 64n - 1n };

const RANGES: Readonly<Partial<Record<ScalarType | "message", typeof INT32>>> = {
  int32: INT32,
  sint32: INT32,
  enum: INT32,
  uint32: UINT32,
  fixed32: UINT32,
  int64: INT64,
  sfixed64: INT64,
};

function writeInteger(writer: BackwardWriter, field: Field, value: unknown): boolean {
  const named = typeof value === "string" ? field.values[value] : undefined;
  const integer = toInteger(named ?? value, RANGES[field.type] ?? UINT64);
  switch (field.type) {
    case "fixed64":
    case "sfixed64":
      writer.fixed64(integer);
      break;
    case "fixed32":
      writer.fixed32(Number(integer));
      break;
    case "sint32":
      writer.varint64(integer < 0n ? -2n * integer - 1n : 2n * integer);
      break;
    default:
      writer.varint64(integer);
  }
  return integer === 0n;
}
