// SPDX-License-Identifier: Apache-2.0
import { createHash, randomUUID } from "node:crypto";
import { type Converters, define, likeText, mapping, needText } from "../arguments.ts";
import {
  compareValues,
  Float,
  isInteger,
  kindOf,
  numberOf,
  OttlEvaluationError,
  toFloat,
  toInteger,
  type Value,
} from "../value.ts";

const INTEGER = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

function toInt(value: Value): Value {
  if (isInteger(value)) return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  const number = numberOf(value);
  if (number !== undefined) {
    return Number.isFinite(number) ? toInteger(BigInt(Math.trunc(number))) : undefined;
  }
  if (typeof value !== "string" || !INTEGER.test(value)) return undefined;
  const exact = BigInt(value.replace("+", ""));
  return BigInt.asIntN(64, exact) === exact ? toInteger(exact) : undefined;
}

function toDouble(value: Value): Value {
  const number = numberOf(value);
  if (number !== undefined) return toFloat(number);
  if (typeof value === "boolean") return toFloat(value ? 1 : 0);
  return typeof value === "string" && DECIMAL.test(value) ? toFloat(Number(value)) : undefined;
}

function toBool(value: Value): Value {
  if (typeof value === "boolean") return value;
  const number = numberOf(value);
  if (number !== undefined) return number !== 0;
  if (typeof value !== "string") return undefined;
  if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  return /^(0|f|F|false|FALSE|False)$/.test(value) ? false : undefined;
}

const digest =
  (algorithm: string) =>
  (value: Value): string =>
    createHash(algorithm).update(needText(value)).digest("hex");

/** FNV-1a of 64 bits as a signed integer (draft-eastlake-fnv). */
function fnv(value: Value): Value {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(needText(value))) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return toInteger(hash);
}

function decodedBase64(value: Value): string {
  return Buffer.from(needText(value), "base64").toString("utf8");
}

function decodedHex(value: Value): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return Buffer.from(likeText(value) ?? "").toString("hex");
}

function log(value: Value): Value {
  const number = numberOf(value);
  if (number === undefined)
    throw new OttlEvaluationError(`expected a number, got ${kindOf(value)}`);
  if (number <= 0) throw new OttlEvaluationError("greater than zero expected");
  return toFloat(Math.log(number));
}

const bytesOf =
  (length: number) =>
  (value: Value): Value => {
    const bytes = value instanceof Uint8Array ? value : Buffer.from(needText(value), "hex");
    if (bytes.length === length) return bytes;
    throw new OttlEvaluationError(`expected ${length} bytes but got ${bytes.length}`);
  };

export const KINDS: Converters = [
  mapping("IsString", (value) => typeof value === "string"),
  mapping("IsBool", (value) => typeof value === "boolean"),
  mapping("IsInt", (value) => isInteger(value)),
  mapping(
    "IsDouble",
    (value) => value instanceof Float || (typeof value === "number" && !isInteger(value)),
  ),
  mapping("IsMap", (value) => value instanceof Map),
  mapping("IsList", (value) => Array.isArray(value)),
  mapping("Int", toInt),
  mapping("Double", toDouble),
  mapping("Bool", toBool),
  mapping("SHA1", digest("sha1")),
  mapping("SHA256", digest("sha256")),
  mapping("SHA512", digest("sha512")),
  mapping("MD5", digest("md5")),
  mapping("FNV", fnv),
  mapping("Hex", decodedHex),
  mapping("Base64Decode", decodedBase64),
  mapping("Log", log),
  mapping("SpanID", bytesOf(8)),
  mapping("TraceID", bytesOf(16)),
  define("UUID", "", () => () => randomUUID()),
  define(
    "IsRootSpan",
    "",
    () => (telemetry) => telemetry.item.blob(4).every((byte) => byte === 0),
    ["span"],
  ),
  define("ParseInt", "target base", (args) => {
    const [text, base] = [args.text("target"), args.integer("base")];
    return (telemetry) => {
      const [source, radix] = [text(telemetry), base(telemetry)];
      const digits = source.replace(/^[+-]/, "").toLowerCase();
      const number = Number.parseInt(source, radix === 0 ? 10 : radix);
      if (
        digits === "" ||
        Number.parseInt(digits, radix || 10).toString(radix || 10) !==
          digits.replace(/^0+(?=.)/, "")
      ) {
        throw new OttlEvaluationError(`could not parse "${source}" in base ${radix}`);
      }
      return number;
    };
  }),
  define("Decode", "target encoding", (args) => {
    const target = args.value("target");
    const encoding = args.literalText("encoding") ?? "";
    const label = { base64: "base64", "base64-url": "base64url", hex: "hex" } as const;
    const known = Object.entries(label).find(([name]) => name === encoding)?.[1];
    if (known === undefined && !/^(utf-?8|us-ascii|ascii)$/i.test(encoding)) {
      throw args.wrong("encoding", "must be base64, base64-url, hex, utf8 or us-ascii");
    }
    return (telemetry) => {
      const value = target(telemetry);
      const bytes = value instanceof Uint8Array ? Buffer.from(value) : undefined;
      if (known === undefined) return bytes?.toString("utf8") ?? needText(value);
      return Buffer.from(bytes?.toString("latin1") ?? needText(value), known).toString("utf8");
    };
  }),
  mapping("Keys", (value) => {
    if (value instanceof Map) return [...value.keys()];
    throw new OttlEvaluationError(`expected pcommon.Map but got ${kindOf(value)}`);
  }),
  mapping("Values", (value) => {
    if (value instanceof Map) return [...value.values()];
    throw new OttlEvaluationError(`expected pcommon.Map but got ${kindOf(value)}`);
  }),
  define("ContainsValue", "target item", (args) => {
    const [list, item] = [args.list("target"), args.value("item")];
    return (telemetry) => {
      const wanted = item(telemetry);
      return list(telemetry).some((value) => compareValues("==", value, wanted));
    };
  }),
  define("Sort", "target order?", (args) => {
    const list = args.list("target");
    const order = args.literalText("order") ?? "asc";
    if (order !== "asc" && order !== "desc") throw args.wrong("order", 'must be "asc" or "desc"');
    const sign = order === "asc" ? 1 : -1;
    return (telemetry) => [...list(telemetry)].sort((a, b) => sign * ordering(a, b));
  }),
];

/** Numbers by value, all else as text. */
function ordering(a: Value, b: Value): number {
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return left - right;
  const [one, two] = [likeText(a) ?? "", likeText(b) ?? ""];
  return one < two ? -1 : one > two ? 1 : 0;
}
