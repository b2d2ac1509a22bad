// SPDX-License-Identifier: Apache-2.0
import type { ByteCursor } from "../byte-cursor.ts";

/**
 * Passes the values of a column: their bytes depend on the column's type, and nothing else tells where
 * the next column, and with it the next packet, begins.
 */

const DEPTH_MAX = 8;
const FIXED: ReadonlyMap<string, number> = new Map([
  ...["UInt8", "Int8", "Bool", "Enum8", "Nothing"].map((name) => [name, 1] as const),
  ...["UInt16", "Int16", "Date", "Enum16", "BFloat16"].map((name) => [name, 2] as const),
  ...["UInt32", "Int32", "Float32", "DateTime", "Date32", "IPv4", "Decimal32", "Time"].map(
    (name) => [name, 4] as const,
  ),
  ...["UInt64", "Int64", "Float64", "DateTime64", "Decimal64", "Time64"].map(
    (name) => [name, 8] as const,
  ),
  ...["UInt128", "Int128", "UUID", "IPv6", "Decimal128", "Point"].map(
    (name) => [name, 16] as const,
  ),
  ...["UInt256", "Int256", "Decimal256"].map((name) => [name, 32] as const),
]);

/** Key widths of LowCardinality. */
const KEY_BYTES = [1, 2, 4, 8] as const;
const HAS_ADDITIONAL_KEYS = 0x200;

/** False for a type that is not read; `cursor.isCut` when the values are not all there. */
export function skipColumn(cursor: ByteCursor, type: string, rows: number): boolean {
  skipPrefix(cursor, type);
  return skipValues(cursor, type, rows, 0);
}

/** LowCardinality writes its version first, wherever in the type it stands. */
function skipPrefix(cursor: ByteCursor, type: string): void {
  for (let at = type.indexOf("LowCardinality("); at >= 0; ) {
    cursor.skip(8);
    at = type.indexOf("LowCardinality(", at + 1);
  }
}

function skipValues(cursor: ByteCursor, type: string, rows: number, depth: number): boolean {
  if (depth > DEPTH_MAX) return false;
  if (type === "String") {
    for (let row = 0; row < rows && !cursor.isCut; row++) cursor.skip(cursor.varint());
    return true;
  }
  const open = type.indexOf("(");
  const name = open < 0 ? type : type.slice(0, open);
  const inner = open < 0 ? "" : type.slice(open + 1, -1);
  const width = name.startsWith("Interval") ? 8 : FIXED.get(name);
  if (width !== undefined) {
    cursor.skip(width * rows);
    return true;
  }
  switch (name) {
    case "FixedString":
      if (!/^\d{1,7}$/.test(inner)) return false;
      cursor.skip(Number(inner) * rows);
      return true;
    case "Decimal":
      cursor.skip(decimalBytes(inner) * rows);
      return true;
    case "Nullable":
      cursor.skip(rows);
      return skipValues(cursor, inner, rows, depth + 1);
    case "Array":
      return skipArray(cursor, inner, rows, depth);
    case "Map":
      return skipArray(cursor, `Tuple(${inner})`, rows, depth);
    case "Tuple":
      return partsOf(inner).every((part) => skipValues(cursor, part, rows, depth + 1));
    case "LowCardinality":
      return skipLowCardinality(cursor, inner, rows, depth);
    case "SimpleAggregateFunction":
      return skipValues(cursor, partsOf(inner)[1] ?? "", rows, depth + 1);
    default:
      return false;
  }
}

/** The end of each row's values, then the values. */
function skipArray(cursor: ByteCursor, type: string, rows: number, depth: number): boolean {
  if (rows === 0) return skipValues(cursor, type, 0, depth + 1);
  const at = cursor.take(8 * rows);
  return (
    at < 0 || skipValues(cursor, type, readInt64(cursor.bytes, at + 8 * (rows - 1)), depth + 1)
  );
}

function skipLowCardinality(
  cursor: ByteCursor,
  type: string,
  rows: number,
  depth: number,
): boolean {
  if (rows === 0) return true;
  const flags = cursor.take(8);
  if (flags < 0) return true;
  const kind = readInt64(cursor.bytes, flags);
  const width = KEY_BYTES[kind & 0xff];
  // A dictionary of several blocks is only written to files.
  if (width === undefined || (kind & HAS_ADDITIONAL_KEYS) === 0) return false;
  const size = cursor.take(8);
  if (size < 0) return true;
  const plain = type.startsWith("Nullable(") ? type.slice(9, -1) : type;
  if (!skipValues(cursor, plain, readInt64(cursor.bytes, size), depth + 1)) return false;
  cursor.skip(8);
  cursor.skip(width * rows);
  return true;
}

function decimalBytes(precision: string): number {
  const digits = Number.parseInt(precision, 10);
  if (digits <= 9) return 4;
  if (digits <= 18) return 8;
  return digits <= 38 ? 16 : 32;
}

/** `a UInt8, b Tuple(c String, d UInt8)` by its outer commas, names left out. */
function partsOf(inner: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at <= inner.length; at++) {
    const char = inner[at];
    if (char === "(") depth++;
    else if (char === ")") depth--;
    else if (char === undefined || (char === "," && depth === 0)) {
      parts.push(inner.slice(from, at).trim());
      from = at + 1;
    }
  }
  return parts.map((part) => /^[\w`]+ ([A-Z].*)$/.exec(part)?.[1] ?? part);
}

/** Little-endian, as a double. */
function readInt64(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let index = 7; index >= 0; index--) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}
