// SPDX-License-Identifier: Apache-2.0

import type { Arguments } from "../arguments.ts";
import { type Converters, define, likeText, mapping, needText } from "../arguments.ts";
import type { Getter } from "../fields.ts";
import { stringOf } from "../format.ts";
import {
  compareValues,
  isInteger,
  kindOf,
  numberOf,
  OttlEvaluationError,
  type Value,
} from "../value.ts";

function lengthOf(value: Value): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (value instanceof Map) return value.size;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  throw new OttlEvaluationError(`target arg must be a string, slice or map, got ${kindOf(value)}`);
}

function affix(test: (text: string, part: string) => boolean, parameter: string) {
  return (args: Arguments): Getter => {
    const text = args.text("target");
    const part = args.text(parameter);
    return (telemetry) => test(text(telemetry), part(telemetry));
  };
}

function words(text: string): string[] {
  return text
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .split(/[\s_\-.]+/)
    .filter((word) => word !== "");
}

const CASES: Readonly<Record<string, (text: string) => string>> = {
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  snake: (text) => words(text).join("_").toLowerCase(),
  camel: (text) =>
    words(text)
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase())
      .join(""),
};

const cased =
  (name: string) =>
  (value: Value): Value =>
    CASES[name]?.(needText(value));

function convertCase(args: Arguments): Getter {
  const convert = CASES[args.literalText("toCase") ?? ""];
  if (convert === undefined) {
    throw args.wrong("toCase", "must be lower, upper, snake or camel");
  }
  const target = args.text("target");
  return (telemetry) => convert(target(telemetry));
}

function substring(args: Arguments): Getter {
  const [target, start, length] = [
    args.text("target"),
    args.integer("start"),
    args.integer("length"),
  ];
  return (telemetry) => {
    const bytes = Buffer.from(target(telemetry));
    const from = start(telemetry);
    const count = length(telemetry);
    if (from < 0) throw new OttlEvaluationError(`invalid start for substring: ${from}`);
    if (count <= 0) throw new OttlEvaluationError(`invalid length for substring: ${count}`);
    if (from + count > bytes.length) {
      throw new OttlEvaluationError(
        `invalid range for substring, ${from + count} cannot be greater than the length of target string(${bytes.length})`,
      );
    }
    return bytes.toString("utf8", from, from + count);
  };
}

function concat(args: Arguments): Getter {
  const [values, delimiter] = [args.list("values"), args.text("delimiter")];
  return (telemetry) =>
    values(telemetry)
      .map((value) => (value === undefined ? "<nil>" : (likeText(value) ?? "")))
      .join(delimiter(telemetry));
}

/** Go's verbs that make sense for telemetry: d, s, v, f, x, q, t, with width and precision. */
function format(args: Arguments): Getter {
  const [template, values] = [args.text("format"), args.list("args")];
  return (telemetry) => {
    const given = values(telemetry);
    let next = 0;
    return template(telemetry).replace(
      /%([-+0 #]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g,
      (_, flags: string, width: string, precision: string | undefined, verb: string) => {
        if (verb === "%") return "%";
        if (next >= given.length) return `%!${verb}(MISSING)`;
        const text = formatted(given[next++], verb, precision);
        const size = Number(width === "" ? 0 : width);
        if (flags.includes("-")) return text.padEnd(size);
        return text.padStart(size, flags.includes("0") && /^[\d.]+$/.test(text) ? "0" : " ");
      },
    );
  };
}

function formatted(value: Value, verb: string, precision: string | undefined): string {
  const number = numberOf(value);
  if (verb === "f" && number !== undefined) return number.toFixed(Number(precision ?? 6));
  if ((verb === "x" || verb === "X") && isInteger(value)) {
    const text = BigInt(value).toString(16);
    return verb === "X" ? text.toUpperCase() : text;
  }
  if (verb === "q") return JSON.stringify(stringOf(value));
  return value === undefined ? "<nil>" : stringOf(value);
}

function index(args: Arguments): Getter {
  const [target, wanted] = [args.value("target"), args.value("value")];
  return (telemetry) => {
    const [where, what] = [target(telemetry), wanted(telemetry)];
    if (Array.isArray(where)) {
      return where.findIndex((item: Value) => compareValues("==", item, what));
    }
    const at = needText(where).indexOf(needText(what));
    return at === -1 ? -1 : Buffer.byteLength(needText(where).slice(0, at));
  };
}

function trim(args: Arguments): Getter {
  const target = args.text("target");
  const characters = args.has("replacement") ? args.text("replacement") : () => " ";
  return (telemetry) => {
    const text = target(telemetry);
    const cut = characters(telemetry);
    let [from, to] = [0, text.length];
    while (from < to && cut.includes(text.charAt(from))) from++;
    while (to > from && cut.includes(text.charAt(to - 1))) to--;
    return text.slice(from, to);
  };
}

function isMatch(args: Arguments): Getter {
  if (!args.isLiteral("pattern")) {
    const [target, pattern] = [args.value("target"), args.pattern("pattern")];
    return (telemetry) => {
      const text = likeText(target(telemetry));
      return text !== undefined && text.search(pattern(telemetry).regexp) !== -1;
    };
  }
  if (args.literalText("pattern") === undefined) throw args.wrong("pattern", "must be a text");
  const target = args.value("target");
  const { regexp } = constantPattern(args);
  return (telemetry) => {
    const text = likeText(target(telemetry));
    return text !== undefined && regexp.test(text);
  };
}

function constantPattern(args: Arguments): { readonly regexp: RegExp } {
  const { regexp } = args.constantPattern("pattern");
  return { regexp: new RegExp(regexp.source, regexp.flags.replace("g", "")) };
}

export const TEXT: Converters = [
  mapping("Len", (value) => lengthOf(value)),
  mapping("ToLowerCase", cased("lower")),
  mapping("ToUpperCase", cased("upper")),
  mapping("ToSnakeCase", cased("snake")),
  mapping("ToCamelCase", cased("camel")),
  mapping("String", (value) => likeText(value)),
  define("ConvertCase", "target toCase", convertCase),
  define(
    "HasPrefix",
    "target prefix",
    affix((text, part) => text.startsWith(part), "prefix"),
  ),
  define(
    "HasSuffix",
    "target suffix",
    affix((text, part) => text.endsWith(part), "suffix"),
  ),
  define("TrimPrefix", "target prefix", (args) => {
    const [text, part] = [args.text("target"), args.text("prefix")];
    return (telemetry) => {
      const prefix = part(telemetry);
      const whole = text(telemetry);
      return whole.startsWith(prefix) ? whole.slice(prefix.length) : whole;
    };
  }),
  define("TrimSuffix", "target suffix", (args) => {
    const [text, part] = [args.text("target"), args.text("suffix")];
    return (telemetry) => {
      const suffix = part(telemetry);
      const whole = text(telemetry);
      return whole.endsWith(suffix) ? whole.slice(0, whole.length - suffix.length) : whole;
    };
  }),
  define("Trim", "target replacement?", trim),
  define("Substring", "target start length utf8?", substring),
  define("Concat", "values delimiter", concat),
  define("Split", "target delimiter", (args) => {
    const [text, delimiter] = [args.text("target"), args.text("delimiter")];
    return (telemetry) => text(telemetry).split(delimiter(telemetry));
  }),
  define("Format", "format args", format),
  define("Index", "target value", index),
  define("IsMatch", "target pattern", isMatch),
];
