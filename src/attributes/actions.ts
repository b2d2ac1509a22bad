// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { AttributeValue } from "../pdata/span-view.ts";
import { anyValueText, encodeAnyValue, encodeDouble } from "./any-value.ts";
import type { AttributeList } from "./attribute-list.ts";

/** Where a value comes from: what the configuration says, or another attribute. */
export interface ValueSource {
  /** An encoded AnyValue. */
  readonly value: Uint8Array | undefined;
  readonly fromAttribute: Uint8Array | undefined;
  /** An encoded AnyValue, for when there is no such attribute. */
  readonly defaultValue: Uint8Array | undefined;
}

export type ConvertedType = "string" | "int" | "double";

/** One action on a message's attributes. Keys are UTF-8; an empty key is none. */
export type AttributeAction =
  | {
      readonly kind: "insert" | "update" | "upsert";
      readonly key: Uint8Array;
      readonly source: ValueSource;
    }
  | {
      readonly kind: "delete" | "hash";
      readonly key: Uint8Array;
      readonly pattern: RegExp | undefined;
    }
  | {
      readonly kind: "extract";
      readonly key: Uint8Array;
      readonly pattern: RegExp;
      readonly names: readonly Uint8Array[];
    }
  | { readonly kind: "convert"; readonly key: Uint8Array; readonly to: ConvertedType };

/** Applies the actions in order. */
export function applyActions(actions: readonly AttributeAction[], list: AttributeList): void {
  for (const action of actions) {
    switch (action.kind) {
      case "insert":
      case "update":
      case "upsert":
        set(action.kind, action.key, action.source, list);
        break;
      case "delete":
      case "hash":
        onMatching(action, list);
        break;
      case "extract":
        extract(action, list);
        break;
      case "convert":
        convert(action, list);
        break;
    }
  }
}

function set(
  kind: "insert" | "update" | "upsert",
  key: Uint8Array,
  source: ValueSource,
  list: AttributeList,
): void {
  const at = list.find(key);
  if (kind === "insert" ? at !== -1 : kind === "update" && at === -1) return;
  const value = sourceValue(source, list);
  if (value === undefined) return;
  if (at === -1) list.add(key, value);
  else list.replace(at, value);
}

function sourceValue(source: ValueSource, list: AttributeList): Uint8Array | undefined {
  if (source.fromAttribute === undefined) return source.value ?? source.defaultValue;
  const from = list.find(source.fromAttribute);
  return from === -1 ? source.defaultValue : list.encodedValue(from);
}

function onMatching(
  action: Extract<AttributeAction, { readonly kind: "delete" | "hash" }>,
  list: AttributeList,
): void {
  const act = (index: number): void => {
    if (action.kind === "delete") list.remove(index);
    else list.replace(index, hashOf(list.value(index), list.isDouble(index)));
  };
  const at = action.key.length === 0 ? -1 : list.find(action.key);
  if (at !== -1) act(at);
  if (action.pattern === undefined) return;
  for (let index = 0; index < list.size; index++) {
    if (!list.isRemoved(index) && action.pattern.test(list.keyText(index))) act(index);
  }
}

/**
 * SHA-256 in hex of a text's UTF-8, of a number's eight bytes (little-endian) or of one byte for
 * a boolean; an empty text for what is empty or is a list, a map or bytes.
 */
function hashOf(value: AttributeValue, isDouble: boolean): Uint8Array {
  const bytes = hashedBytes(value, isDouble);
  const isEmpty = bytes === undefined || bytes.length === 0;
  return encodeAnyValue(isEmpty ? "" : createHash("sha256").update(bytes).digest("hex"));
}

function hashedBytes(value: AttributeValue, isDouble: boolean): Buffer | undefined {
  const bytes = Buffer.alloc(8);
  switch (typeof value) {
    case "string":
      return Buffer.from(value);
    case "boolean":
      return Buffer.of(value ? 1 : 0);
    case "bigint":
      bytes.writeBigInt64LE(value);
      return bytes;
    case "number":
      if (isDouble) bytes.writeDoubleLE(value);
      else bytes.writeBigInt64LE(BigInt(value));
      return bytes;
    default:
      return undefined;
  }
}

function extract(
  action: Extract<AttributeAction, { readonly kind: "extract" }>,
  list: AttributeList,
): void {
  const at = list.find(action.key);
  const text = at === -1 ? undefined : list.value(at);
  if (typeof text !== "string") return;
  const match = action.pattern.exec(text);
  if (match === null) return;
  for (const [group, name] of action.names.entries()) {
    list.put(name, encodeAnyValue(match[group + 1] ?? ""));
  }
}

function convert(
  action: Extract<AttributeAction, { readonly kind: "convert" }>,
  list: AttributeList,
): void {
  const at = list.find(action.key);
  if (at === -1) return;
  const converted = convertedValue(list.value(at), action.to);
  if (converted !== undefined) list.replace(at, converted);
}

/** Undefined: stays as it is. */
function convertedValue(value: AttributeValue, to: ConvertedType): Uint8Array | undefined {
  if (to === "string") {
    return typeof value === "string" ? undefined : encodeAnyValue(anyValueText(value));
  }
  if (typeof value === "boolean") {
    return to === "int" ? encodeAnyValue(value ? 1 : 0) : encodeDouble(value ? 1 : 0);
  }
  if (typeof value === "string") {
    return to === "int" ? intOfText(value) : doubleOfText(value);
  }
  if (typeof value === "bigint") return to === "int" ? undefined : encodeDouble(Number(value));
  if (typeof value !== "number") return undefined;
  return to === "int" ? encodeAnyValue(truncated(value)) : encodeDouble(value);
}

function truncated(value: number): number | bigint {
  const whole = Math.trunc(value);
  if (Number.isSafeInteger(whole)) return whole;
  return Number.isFinite(whole) ? BigInt.asIntN(64, BigInt(whole)) : 0;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

function intOfText(text: string): Uint8Array | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const value = BigInt(text.replace("+", ""));
  return value < INT64_MIN || value > INT64_MAX ? undefined : encodeAnyValue(value);
}

function doubleOfText(text: string): Uint8Array | undefined {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) return undefined;
  return encodeDouble(Number(text));
}
