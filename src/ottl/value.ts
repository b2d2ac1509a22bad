// SPDX-License-Identifier: Apache-2.0
import type { AttributeValue } from "../pdata/span-view.ts";

/** What OTTL works on; undefined is nil. */
export type Value = AttributeValue;

/** A condition could not be evaluated on one item; `error_mode` says what follows. */
export class OttlEvaluationError extends Error {}

/** Compares by OTTL's rules: values of different kinds are only unequal. */
export function compareValues(op: string, left: Value, right: Value): boolean {
  if (left === undefined || right === undefined) {
    const same = left === right;
    return op === "==" ? same : op === "!=" ? !same : same && (op === "<=" || op === ">=");
  }
  if (isNumber(left) && isNumber(right)) return ordered(op, left, right);
  if (typeof left === "string" && typeof right === "string") return ordered(op, left, right);
  if (typeof left === "boolean" && typeof right === "boolean") {
    return ordered(op, Number(left), Number(right));
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return ordered(op, Buffer.compare(left, right), 0);
  }
  if (typeof left === "object" && typeof right === "object") {
    const same = isSame(left, right);
    return op === "==" ? same : op === "!=" && !same;
  }
  return op === "!=";
}

function isNumber(value: Value): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function ordered<T extends string | number | bigint>(op: string, left: T, right: T): boolean {
  switch (op) {
    case "==":
      return !(left < right || left > right) && !isNaN2(left, right);
    case "!=":
      return left < right || left > right || isNaN2(left, right);
    case "<":
      return left < right;
    case "<=":
      return left <= right;
    case ">":
      return left > right;
    default:
      return left >= right;
  }
}

function isNaN2(left: unknown, right: unknown): boolean {
  return Number.isNaN(left) || Number.isNaN(right);
}

function isSame(left: Value, right: Value): boolean {
  if (left instanceof Map && right instanceof Map) {
    if (left.size !== right.size) return false;
    return [...left].every(([key, value]) => right.has(key) && isSame(value, right.get(key)));
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, at) => isSame(item, right[at]));
  }
  const isBytes = left instanceof Uint8Array && right instanceof Uint8Array;
  // Objects of two kinds: a list and a map, a map and bytes.
  if (typeof left === "object" && typeof right === "object" && !isBytes) return false;
  return compareValues("==", left, right);
}

/** `value["a"][0]`; nil where there is nothing. */
export function indexed(value: Value, keys: readonly (string | number)[]): Value {
  let found = value;
  for (const key of keys) {
    if (found instanceof Map) found = found.get(String(key));
    else if (Array.isArray(found) && typeof key === "number") found = found[key];
    else return undefined;
  }
  return found;
}
