// SPDX-License-Identifier: Apache-2.0
import type { Scalar } from "./node.ts";

const NULLS = new Set(["", "~", "null", "Null", "NULL"]);
const TRUES = new Set(["true", "True", "TRUE"]);
const FALSES = new Set(["false", "False", "FALSE"]);
const INTEGER = /^[-+]?(?:0b[01]+|0o[0-7]+|0[0-7]+|0x[0-9a-fA-F]+|0|[1-9][0-9]*)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

/**
 * The value of a plain (unquoted) YAML scalar as go-yaml v3 has it, which the Collector uses:
 * `yes` and `on` are texts, `017` and `0o17` octal, `1_000` a number.
 */
export function resolvePlainScalar(text: string): Scalar {
  if (NULLS.has(text)) return null;
  if (TRUES.has(text)) return true;
  if (FALSES.has(text)) return false;
  if (/^[-+]?\.(?:inf|Inf|INF)$/.test(text)) {
    return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if (/^\.(?:nan|NaN|NAN)$/.test(text)) return Number.NaN;
  if (!/^[-+.0-9]/.test(text)) return text;
  const digits = text.replaceAll("_", "");
  if (INTEGER.test(digits)) return parseInteger(digits);
  if (FLOAT.test(digits)) return Number(digits);
  return text;
}

function parseInteger(digits: string): number {
  const sign = digits.startsWith("-") ? -1 : 1;
  const body = digits.replace(/^[-+]/, "");
  return sign * (/^0[0-7]+$/.test(body) ? Number.parseInt(body, 8) : Number(body));
}
