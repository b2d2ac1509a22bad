// SPDX-License-Identifier: Apache-2.0
import { compileRe2 } from "../config/re2.ts";
import type { Getter } from "./fields.ts";
import { stringOf } from "./format.ts";
import type { ContextName, Place } from "./paths.ts";
import type { Telemetry } from "./telemetry.ts";
import { isInteger, kindOf, numberOf, OttlEvaluationError, type Value } from "./value.ts";

/** The text of a condition or statement means nothing here; the message is the Collector's. */
export class OttlCompileError extends Error {}

export interface Argument {
  readonly get: Getter;
  /** What is written out; `isLiteral` tells nil from something to be evaluated. */
  readonly literal: Value;
  readonly isLiteral: boolean;
  readonly place: Place | undefined;
  /** A bare name in capitals: an enum's symbol or a function. */
  readonly symbol: string | undefined;
}

export interface Pattern {
  /** With the flag `g`. */
  readonly regexp: RegExp;
  readonly groupNames: readonly string[];
}

const NIL: Getter = () => undefined;
const PATTERNS_MAX = 100;

/** The arguments of one call, by the names of the parameters. */
export class Arguments {
  readonly context: ContextName;
  readonly #function: string;
  readonly #byName: ReadonlyMap<string, Argument>;

  constructor(name: string, byName: ReadonlyMap<string, Argument>, context: ContextName) {
    this.#function = name;
    this.#byName = byName;
    this.context = context;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  value(name: string): Getter {
    return this.#byName.get(name)?.get ?? NIL;
  }

  /** A text, or an error where the value is none. */
  text(name: string): (telemetry: Telemetry) => string {
    const get = this.value(name);
    return (telemetry) => needText(get(telemetry));
  }

  integer(name: string): (telemetry: Telemetry) => number {
    const get = this.value(name);
    return (telemetry) => {
      const value = get(telemetry);
      if (isInteger(value)) return Number(value);
      throw new OttlEvaluationError(`expected int64 but got ${kindOf(value)}`);
    };
  }

  number(name: string): (telemetry: Telemetry) => number {
    const get = this.value(name);
    return (telemetry) => {
      const value = get(telemetry);
      const number = numberOf(value);
      if (number !== undefined) return number;
      throw new OttlEvaluationError(`expected a number but got ${kindOf(value)}`);
    };
  }

  list(name: string): (telemetry: Telemetry) => readonly Value[] {
    const get = this.value(name);
    return (telemetry) => {
      const value = get(telemetry);
      if (Array.isArray(value)) return value;
      throw new OttlEvaluationError(`expected a list but got ${kindOf(value)}`);
    };
  }

  map(name: string): (telemetry: Telemetry) => ReadonlyMap<string, Value> {
    const get = this.value(name);
    return (telemetry) => {
      const value = get(telemetry);
      if (value instanceof Map) return value;
      throw new OttlEvaluationError(`expected pcommon.Map but got ${kindOf(value)}`);
    };
  }

  /** What is written out, or undefined when there is no such argument. */
  literal(name: string): Value {
    const argument = this.#byName.get(name);
    if (argument === undefined || argument.isLiteral) return argument?.literal;
    throw this.wrong(name, "must be written out");
  }

  isLiteral(name: string): boolean {
    return this.#byName.get(name)?.isLiteral === true;
  }

  literalText(name: string): string | undefined {
    const value = this.literal(name);
    if (value === undefined || typeof value === "string") return value;
    throw this.wrong(name, "must be a text");
  }

  literalTexts(name: string): string[] {
    const value = this.literal(name) ?? [];
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return [...value];
    throw this.wrong(name, "must be a list of texts");
  }

  /** The name of a function that is given as an argument. */
  symbol(name: string): string | undefined {
    return this.#byName.get(name)?.symbol;
  }

  /** A path that can be written. */
  target(name: string): Place {
    const place = this.#byName.get(name)?.place;
    if (place?.set === undefined) throw this.wrong(name, "must be a path that can be set");
    return place;
  }

  /** A regular expression that is written out. */
  constantPattern(name: string): Pattern {
    const source = this.literalText(name);
    if (source === undefined) throw this.wrong(name, "must be a text");
    const compiled = this.#compile(source);
    if (typeof compiled === "string") throw new OttlCompileError(compiled);
    return compiled;
  }

  /** A regular expression: compiled now when it is written out. */
  pattern(name: string): (telemetry: Telemetry) => Pattern {
    if (this.isLiteral(name)) {
      const compiled = this.constantPattern(name);
      return () => compiled;
    }
    const get = this.text(name);
    const known = new Map<string, Pattern>();
    return (telemetry) => {
      const source = get(telemetry);
      let found = known.get(source);
      if (found === undefined) {
        const compiled = this.#compile(source);
        if (typeof compiled === "string") throw new OttlEvaluationError(compiled);
        found = compiled;
        if (known.size >= PATTERNS_MAX) known.clear();
        known.set(source, found);
      }
      return found;
    };
  }

  #compile(source: string): Pattern | string {
    const compiled = compileRe2(source);
    if (typeof compiled === "string") {
      return `the pattern supplied to ${this.#function} is not a valid regexp pattern: ${compiled}`;
    }
    const { regexp, groupNames } = compiled;
    return { regexp: new RegExp(regexp.source, `${regexp.flags}g`), groupNames };
  }

  wrong(name: string, what: string): OttlCompileError {
    return new OttlCompileError(`invalid argument "${name}" for ${this.#function}: ${what}`);
  }
}

export function needText(value: Value): string {
  if (typeof value === "string") return value;
  throw new OttlEvaluationError(`expected string but got ${kindOf(value)}`);
}

/** Any scalar as text, as IsMatch and Concat take it; undefined for nil. */
export function likeText(value: Value): string | undefined {
  return value === undefined ? undefined : stringOf(value);
}

/** What a function needs and does. `Result` is a getter for converters, an action for editors. */
export interface Builtin<Result> {
  /** Parameters in order; `?` marks those that may be left out. */
  readonly parameters: readonly string[];
  readonly contexts: readonly ContextName[] | undefined;
  readonly make: (args: Arguments) => Result;
}

export type Converters = readonly (readonly [string, Builtin<Getter>])[];

/** `define("Split", "target delimiter", (args) => …)`. */
export function define<Result>(
  name: string,
  parameters: string,
  make: (args: Arguments) => Result,
  contexts?: readonly ContextName[],
): readonly [string, Builtin<Result>] {
  const list = parameters === "" ? [] : parameters.split(" ");
  return [name, { parameters: list, contexts, make }];
}

/** A converter of one value. */
export function mapping(
  name: string,
  evaluate: (value: Value, telemetry: Telemetry) => Value,
): readonly [string, Builtin<Getter>] {
  return define(name, "target", (args) => {
    const target = args.value("target");
    return (telemetry) => evaluate(target(telemetry), telemetry);
  });
}
