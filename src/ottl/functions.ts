// SPDX-License-Identifier: Apache-2.0
import { compileRe2 } from "../config/re2.ts";
import type { ContextName, Getter } from "./paths.ts";
import type { ValueSyntax } from "./syntax.ts";
import type { Telemetry } from "./telemetry.ts";
import { OttlEvaluationError, type Value } from "./value.ts";

export interface CallInputs {
  readonly context: ContextName;
  readonly args: readonly Getter[];
  readonly syntax: readonly ValueSyntax[];
}

interface Builtin {
  /** Numbers of arguments. */
  readonly arity: number;
  readonly contexts?: readonly ContextName[];
  /** A text is what is wrong with the arguments. */
  make(inputs: CallInputs): Getter | string;
}

const NIL: Getter = () => undefined;

function oneArgument(evaluate: (value: Value) => Value): Builtin {
  return {
    arity: 1,
    make:
      ({ args: [target = NIL] }) =>
      (telemetry: Telemetry) =>
        evaluate(target(telemetry)),
  };
}

function needText(value: Value): string {
  if (typeof value === "string") return value;
  throw new OttlEvaluationError(`expected string but got ${kindOf(value)}`);
}

function kindOf(value: Value): string {
  if (value === undefined) return "nil";
  if (value instanceof Uint8Array) return "[]byte";
  if (Array.isArray(value)) return "pcommon.Slice";
  return value instanceof Map ? "pcommon.Map" : typeof value;
}

/** Any scalar as text, as IsMatch takes it; undefined for nil. */
function likeText(value: Value): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "object") {
    return JSON.stringify(value instanceof Map ? Object.fromEntries(value) : value);
  }
  return String(value);
}

function literalText(syntax: ValueSyntax | undefined): string | undefined {
  if (syntax?.kind !== "literal" || typeof syntax.value !== "string") return undefined;
  return syntax.value;
}

const isMatch: Builtin = {
  arity: 2,
  make: ({ args: [target = NIL], syntax }) => {
    const pattern = literalText(syntax[1]);
    if (pattern === undefined) return "the pattern supplied to IsMatch must be a text";
    const compiled = compileRe2(pattern);
    if (typeof compiled === "string") {
      return `the pattern supplied to IsMatch is not a valid regexp pattern: ${compiled}`;
    }
    const { regexp } = compiled;
    return (telemetry) => {
      const text = likeText(target(telemetry));
      return text !== undefined && regexp.test(text);
    };
  },
};

function affix(test: (text: string, part: string) => boolean): Builtin {
  return {
    arity: 2,
    make:
      ({ args: [target = NIL, part = NIL] }) =>
      (telemetry) =>
        test(needText(target(telemetry)), needText(part(telemetry))),
  };
}

/** The filter processor's own: does any data point of the metric have the attribute? */
function onDatapoint(arity: 1 | 2): Builtin {
  return {
    arity,
    contexts: ["metric"],
    make: ({ syntax, args: [, wanted] }) => {
      const key = literalText(syntax[0]);
      if (key === undefined) return "the key must be a text";
      const utf8 = Buffer.from(key);
      return (telemetry) => anyPoint(telemetry, utf8, wanted?.(telemetry));
    },
  };
}

function anyPoint(telemetry: Telemetry, key: Uint8Array, wanted: Value): boolean {
  for (const [kind, attributes] of [
    [5, 7],
    [7, 7],
    [9, 9],
    [10, 1],
    [11, 7],
  ] as const) {
    const data = telemetry.messageIn(telemetry.item, kind);
    if (data.start < 0) continue;
    for (const point of telemetry.messagesIn(data, 1)) {
      const value = telemetry.attribute(point, attributes, key);
      if (value !== undefined && (wanted === undefined || value === wanted)) return true;
    }
  }
  return false;
}

const BUILTINS: ReadonlyMap<string, Builtin> = new Map([
  ["IsMatch", isMatch],
  ["IsString", oneArgument((value) => typeof value === "string")],
  ["IsBool", oneArgument((value) => typeof value === "boolean")],
  ["IsMap", oneArgument((value) => value instanceof Map)],
  ["IsList", oneArgument((value) => Array.isArray(value))],
  ["Len", oneArgument((value) => lengthOf(value))],
  ["ToLowerCase", oneArgument((value) => needText(value).toLowerCase())],
  ["ToUpperCase", oneArgument((value) => needText(value).toUpperCase())],
  ["HasPrefix", affix((text, part) => text.startsWith(part))],
  ["HasSuffix", affix((text, part) => text.endsWith(part))],
  [
    "IsRootSpan",
    {
      arity: 0,
      contexts: ["span"],
      make: () => (telemetry: Telemetry) =>
        telemetry.id(telemetry.item, 4, 8).every((byte) => byte === 0),
    },
  ],
  ["HasAttrKeyOnDatapoint", onDatapoint(1)],
  ["HasAttrOnDatapoint", onDatapoint(2)],
]);

function lengthOf(value: Value): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (value instanceof Map) return value.size;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  throw new OttlEvaluationError(`target arg must be a string, slice or map, got ${kindOf(value)}`);
}

/** Compiles a call; a text is what is wrong. */
export function compileCall(name: string, inputs: CallInputs): Getter | string {
  const builtin = BUILTINS.get(name);
  const isHere = builtin?.contexts?.includes(inputs.context) !== false;
  if (builtin === undefined || !isHere) return `undefined function ${JSON.stringify(name)}`;
  const { length } = inputs.args;
  if (length !== builtin.arity) {
    return (
      `error while parsing arguments for call to ${JSON.stringify(name)}: incorrect number of ` +
      `arguments. Expected: ${builtin.arity} Received: ${length}`
    );
  }
  return builtin.make(inputs);
}
