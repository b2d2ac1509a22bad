// SPDX-License-Identifier: Apache-2.0

/** A double without a fraction; a plain number without one is an integer, as OTLP tells them apart. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A moment: nanoseconds since the epoch. `zone` is what its text is written in. */
export class Time {
  readonly ns: bigint;
  readonly zone: string;
  constructor(ns: bigint, zone = "UTC") {
    this.ns = ns;
    this.zone = zone;
  }
}

export class Duration {
  readonly ns: bigint;
  constructor(ns: bigint) {
    this.ns = ns;
  }
}

/** What OTTL works on; undefined is nil. A whole `number` is an integer (see `Float`). */
export type Value =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | Float
  | Time
  | Duration
  | readonly Value[]
  | ReadonlyMap<string, Value>
  | undefined;

/** A condition or statement could not be evaluated on one item; `error_mode` says what follows. */
export class OttlEvaluationError extends Error {}

export function toFloat(value: number): Value {
  return Number.isInteger(value) ? new Float(value) : value;
}

export function toInteger(value: bigint): number | bigint {
  const wrapped = BigInt.asIntN(64, value);
  const rounded = Number(wrapped);
  return Number.isSafeInteger(rounded) ? rounded : wrapped;
}

/** As a double, or undefined when it is no number. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return value instanceof Float ? value.value : undefined;
}

export function isInteger(value: Value): value is number | bigint {
  return typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
}

/** The names of kinds as the Collector's texts have them. */
export function kindOf(value: Value): string {
  if (value === undefined) return "nil";
  if (value instanceof Uint8Array) return "[]byte";
  if (value instanceof Float) return "float64";
  if (value instanceof Time) return "time.Time";
  if (value instanceof Duration) return "time.Duration";
  if (Array.isArray(value)) return "pcommon.Slice";
  if (value instanceof Map) return "pcommon.Map";
  if (typeof value === "number" || typeof value === "bigint") {
    return isInteger(value) ? "int64" : "float64";
  }
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** Compares by OTTL's rules: values of different kinds are only unequal. */
export function compareValues(op: string, leftValue: Value, rightValue: Value): boolean {
  const left = comparable(leftValue);
  const right = comparable(rightValue);
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
  if (left instanceof Time && right instanceof Time) return ordered(op, left.ns, right.ns);
  if (left instanceof Duration && right instanceof Duration) return ordered(op, left.ns, right.ns);
  if (typeof left === "object" && typeof right === "object") {
    const same = isSame(left, right);
    return op === "==" ? same : op === "!=" && !same;
  }
  return op === "!=";
}

function comparable(value: Value): Value {
  return value instanceof Float ? value.value : value;
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
  // Objects of two kinds: a list and a map, a map and bytes.
  if (isContainer(left) || isContainer(right)) return false;
  return compareValues("==", left, right);
}

function isContainer(value: Value): boolean {
  return value instanceof Map || Array.isArray(value);
}

/** `value["a"][0]`; nil where there is nothing. */
export function indexed(value: Value, keys: readonly Value[]): Value {
  let found = value;
  for (const key of keys) {
    if (found instanceof Map) found = found.get(String(key));
    else if (Array.isArray(found) && typeof key === "number") found = found[key];
    else return undefined;
  }
  return found;
}

/** A copy of `value` with `replacement` at the keys; maps are made on the way. */
export function withKeys(value: Value, keys: readonly Value[], replacement: Value): Value {
  const [key, ...rest] = keys;
  if (key === undefined) return replacement;
  if (typeof key === "number") {
    if (!Array.isArray(value)) throw new OttlEvaluationError(`${kindOf(value)} has no index`);
    if (key < 0 || key >= value.length) {
      throw new OttlEvaluationError(`index ${key} out of bounds for length ${value.length}`);
    }
    return value.map((item: Value, at) => (at === key ? withKeys(item, rest, replacement) : item));
  }
  const map = new Map<string, Value>(value instanceof Map ? value : []);
  map.set(String(key), withKeys(map.get(String(key)), rest, replacement));
  return map;
}
