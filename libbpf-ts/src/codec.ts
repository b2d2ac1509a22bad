// SPDX-License-Identifier: Apache-2.0
import { endianness } from "node:os";

import { BpfError } from "./errors.ts";
import type { FieldLayout, Layout } from "./layout.ts";
import { unknownName } from "./nearest.ts";

/**
 * A C value as JavaScript has it: integers of up to 4 bytes and enums as numbers, of 8 bytes and
 * pointers as bigints, `char` arrays as text up to the first NUL, other byte arrays as Uint8Array,
 * arrays as arrays, structs and unions as objects (a union with all its readings).
 */
export type BtfValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly BtfValue[]
  | { readonly [field: string]: BtfValue };

export interface CodecOptions {
  /** 64 bit integers as numbers: exact up to 2^53, rounded above. */
  readonly wideAsNumber?: boolean;
}

/** Records of the running machine are in its own byte order. */
const LITTLE = endianness() === "LE";
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function readInteger(
  view: DataView,
  offset: number,
  type: { readonly bytes: number; readonly signed: boolean },
): bigint {
  switch (type.bytes) {
    case 1:
      return BigInt(type.signed ? view.getInt8(offset) : view.getUint8(offset));
    case 2:
      return BigInt(type.signed ? view.getInt16(offset, LITTLE) : view.getUint16(offset, LITTLE));
    case 4:
      return BigInt(type.signed ? view.getInt32(offset, LITTLE) : view.getUint32(offset, LITTLE));
    default:
      return type.signed ? view.getBigInt64(offset, LITTLE) : view.getBigUint64(offset, LITTLE);
  }
}

/** Little-endian bit fields: `bits` bits from `shift` on, over as many bytes as they touch. */
export function readBits(
  view: DataView,
  offset: number,
  field: { readonly shift: number; readonly bits: number; readonly signed: boolean },
): bigint {
  const bytes = Math.ceil((field.shift + field.bits) / 8);
  let word = 0n;
  for (let index = 0; index < bytes; index++) {
    word |= BigInt(view.getUint8(offset + index)) << BigInt(index * 8);
  }
  const value = word >> BigInt(field.shift);
  return field.signed ? BigInt.asIntN(field.bits, value) : BigInt.asUintN(field.bits, value);
}

/** Text up to the first NUL; bytes that are not UTF-8 become U+FFFD. */
export function readText(view: DataView, offset: number, bytesMax: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, bytesMax);
  const end = bytes.indexOf(0);
  return decoder.decode(bytes.subarray(0, end < 0 ? bytesMax : end));
}

/** A copy of bytes. */
export function readBytes(view: DataView, offset: number, bytes: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, bytes).slice();
}

function toInteger(value: bigint, bytes: number, options: CodecOptions): number | bigint {
  return bytes <= 4 || options.wideAsNumber === true ? Number(value) : value;
}

function decodeField(
  field: FieldLayout,
  view: DataView,
  at: { readonly offset: number; readonly options: CodecOptions },
): BtfValue {
  const { layout, bitField } = field;
  const offset = at.offset + field.offset;
  if (bitField === undefined) {
    return decodeValue(layout, view, offset, at.options);
  }
  const signed = (layout.kind === "int" || layout.kind === "enum") && layout.signed;
  const value = readBits(view, offset, { ...bitField, signed });
  return layout.kind === "bool" ? value !== 0n : toInteger(value, bitField.bits / 8, at.options);
}

/** Reads a value of a layout; nothing of the result refers to the bytes. */
export function decodeValue(
  layout: Layout,
  view: DataView,
  offset: number,
  options: CodecOptions = {},
): BtfValue {
  switch (layout.kind) {
    case "int":
    case "enum":
      return toInteger(readInteger(view, offset, layout), layout.bytes, options);
    case "pointer":
      return toInteger(view.getBigUint64(offset, LITTLE), 8, options);
    case "bool":
      return view.getUint8(offset) !== 0;
    case "float":
      return layout.bytes === 4 ? view.getFloat32(offset, LITTLE) : view.getFloat64(offset, LITTLE);
    case "text":
      return readText(view, offset, layout.bytes);
    case "bytes":
      return readBytes(view, offset, layout.bytes);
    case "array": {
      const { element, length } = layout;
      return Array.from({ length }, (_, index) =>
        decodeValue(element, view, offset + index * element.bytes, options),
      );
    }
    case "record": {
      const result: Record<string, BtfValue> = {};
      for (const field of layout.fields) {
        result[field.name] = decodeField(field, view, { offset, options });
      }
      return result;
    }
    default:
      return layout satisfies never;
  }
}

/** Where in a value an encoding is, for the messages: `key.address[2]`. */
interface Place {
  readonly view: DataView;
  readonly offset: number;
  readonly path: string;
}

function wrong(place: Place, wanted: string, value: unknown): BpfError {
  const given = typeof value === "object" ? (value === null ? "null" : "an object") : `${value}`;
  return new BpfError({
    code: "ARGUMENT",
    message: `${place.path}: ${wanted} is wanted, ${given} (${typeof value}) was given.`,
  });
}

function describeInteger(bits: number, signed: boolean): string {
  return `${signed ? "a signed" : "an unsigned"} integer of ${bits} bits`;
}

function checkedInteger(
  place: Place,
  value: unknown,
  type: { readonly bits: number; readonly signed: boolean },
): bigint {
  const wanted = describeInteger(type.bits, type.signed);
  if (typeof value !== "bigint" && typeof value !== "boolean" && !Number.isSafeInteger(value)) {
    throw wrong(place, wanted, value);
  }
  const integer = BigInt(
    typeof value === "bigint" || typeof value === "boolean" ? value : Number(value),
  );
  const fits = type.signed ? BigInt.asIntN(type.bits, integer) : BigInt.asUintN(type.bits, integer);
  if (fits !== integer) {
    throw wrong(place, wanted, value);
  }
  return BigInt.asUintN(type.bits, integer);
}

function writeInteger({ view, offset }: Place, bytes: number, value: bigint): void {
  for (let index = 0; index < bytes; index++) {
    const at = LITTLE ? index : bytes - 1 - index;
    view.setUint8(offset + at, Number((value >> BigInt(index * 8)) & 0xffn));
  }
}

function writeBits(place: Place, value: bigint, field: { shift: number; bits: number }): void {
  const bytes = Math.ceil((field.shift + field.bits) / 8);
  const mask = ((1n << BigInt(field.bits)) - 1n) << BigInt(field.shift);
  const placed = value << BigInt(field.shift);
  for (let index = 0; index < bytes; index++) {
    const part = (bits: bigint): number => Number((bits >> BigInt(index * 8)) & 0xffn);
    const kept = place.view.getUint8(place.offset + index) & ~part(mask);
    place.view.setUint8(place.offset + index, kept | part(placed));
  }
}

function writeBytes(place: Place, bytes: Uint8Array, room: number): void {
  if (bytes.length > room) {
    throw wrong(place, `at most ${room} bytes`, bytes.length);
  }
  const target = new Uint8Array(place.view.buffer, place.view.byteOffset + place.offset, room);
  target.fill(0);
  target.set(bytes);
}

function encodeRecord(
  layout: Extract<Layout, { kind: "record" }>,
  value: unknown,
  place: Place,
): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(place, `an object for ${layout.name || "a struct"}`, value);
  }
  const given = new Map<string, unknown>(Object.entries(value));
  for (const name of given.keys()) {
    if (!layout.fields.some((each) => each.name === name)) {
      const names = layout.fields.map((each) => each.name);
      throw unknownName(
        "field",
        `${place.path}.${name}`,
        names.map((each) => `${place.path}.${each}`),
      );
    }
  }
  for (const field of layout.fields) {
    const path = `${place.path}.${field.name}`;
    const inner = { view: place.view, offset: place.offset + field.offset, path };
    const part = given.get(field.name);
    if (part === undefined) {
      if (!field.isShared) {
        throw wrong(inner, "a value", part);
      }
    } else if (field.bitField !== undefined) {
      const signed =
        (field.layout.kind === "int" || field.layout.kind === "enum") && field.layout.signed;
      const { bits } = field.bitField;
      writeBits(inner, checkedInteger(inner, part, { bits, signed }), field.bitField);
    } else {
      encodeAt(field.layout, part, inner);
    }
  }
}

function encodeNumber(layout: Layout, value: unknown, place: Place): boolean {
  switch (layout.kind) {
    case "int":
    case "enum":
    case "pointer": {
      const signed = layout.kind !== "pointer" && layout.signed;
      const bits = layout.bytes * 8;
      writeInteger(place, layout.bytes, checkedInteger(place, value, { bits, signed }));
      return true;
    }
    case "bool":
      if (typeof value !== "boolean") {
        throw wrong(place, "true or false", value);
      }
      place.view.setUint8(place.offset, value ? 1 : 0);
      return true;
    case "float":
      if (typeof value !== "number") {
        throw wrong(place, "a number", value);
      }
      if (layout.bytes === 4) {
        place.view.setFloat32(place.offset, value, LITTLE);
      } else {
        place.view.setFloat64(place.offset, value, LITTLE);
      }
      return true;
    default:
      return false;
  }
}

function encodeAt(layout: Layout, value: unknown, place: Place): void {
  if (encodeNumber(layout, value, place)) {
    return;
  }
  switch (layout.kind) {
    case "text":
      if (typeof value !== "string") {
        throw wrong(place, "text", value);
      }
      writeBytes(place, encoder.encode(value), layout.bytes);
      break;
    case "bytes":
      if (!(value instanceof Uint8Array) || value.length !== layout.bytes) {
        throw wrong(place, `a Uint8Array of ${layout.bytes} bytes`, value);
      }
      writeBytes(place, value, layout.bytes);
      break;
    case "array":
      if (!Array.isArray(value) || value.length !== layout.length) {
        throw wrong(place, `an array of ${layout.length} elements`, value);
      }
      for (let index = 0; index < layout.length; index++) {
        const path = `${place.path}[${index}]`;
        const offset = place.offset + index * layout.element.bytes;
        encodeAt(layout.element, value[index], { view: place.view, offset, path });
      }
      break;
    case "record":
      encodeRecord(layout, value, place);
      break;
    default:
  }
}

/**
 * The bytes of a value. Every field must be given but those of unions, of which one is enough;
 * padding is zero.
 *
 * @param label What the messages call the value: `key of map "x"`.
 * @throws BpfError `ARGUMENT` with the path of what does not fit, `UNKNOWN_NAME` for a field that
 *   the type does not have.
 */
export function encodeValue(layout: Layout, value: unknown, label: string): Uint8Array {
  const bytes = new Uint8Array(layout.bytes);
  encodeAt(layout, value, { view: new DataView(bytes.buffer), offset: 0, path: label });
  return bytes;
}
