// SPDX-License-Identifier: Apache-2.0
import {
  Duration,
  isInteger,
  numberOf,
  OttlEvaluationError,
  Time,
  toFloat,
  toInteger,
  type Value,
} from "./value.ts";

/** `left op right` for numbers, times and durations; of integers the result is an integer. */
export function calculated(op: string, left: Value, right: Value): Value {
  if (isInteger(left) && isInteger(right)) return ofIntegers(op, left, right);
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) {
    if (op === "/" && b === 0) throw new OttlEvaluationError("attempted to divide by 0");
    return toFloat(op === "+" ? a + b : op === "-" ? a - b : op === "*" ? a * b : a / b);
  }
  return ofTimes(op, left, right);
}

function ofIntegers(op: string, left: number | bigint, right: number | bigint): Value {
  if (op === "/" && Number(right) === 0) throw new OttlEvaluationError("attempted to divide by 0");
  if (typeof left === "number" && typeof right === "number") {
    const result =
      op === "+"
        ? left + right
        : op === "-"
          ? left - right
          : op === "*"
            ? left * right
            : Math.trunc(left / right);
    if (Number.isSafeInteger(result)) return result;
  }
  const [a, b] = [BigInt(left), BigInt(right)];
  return toInteger(op === "+" ? a + b : op === "-" ? a - b : op === "*" ? a * b : a / b);
}

function ofTimes(op: string, left: Value, right: Value): Value {
  if (left instanceof Time && right instanceof Time && op === "-") {
    return new Duration(left.ns - right.ns);
  }
  if (right instanceof Duration && (op === "+" || op === "-")) {
    const by = op === "+" ? right.ns : -right.ns;
    if (left instanceof Time) return new Time(left.ns + by, left.zone);
    if (left instanceof Duration) return new Duration(left.ns + by);
  }
  if (left instanceof Duration && right instanceof Time && op === "+") {
    return new Time(left.ns + right.ns, right.zone);
  }
  throw new OttlEvaluationError("math operations are only supported for numbers and times");
}
