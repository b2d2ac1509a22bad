// SPDX-License-Identifier: Apache-2.0
import { type Argument, Arguments, type Builtin, OttlCompileError } from "./arguments.ts";
import { CONVERTERS } from "./converters.ts";
import { enumValue } from "./enums.ts";
import type { Getter } from "./fields.ts";
import { calculated } from "./math.ts";
import { type ContextName, compilePath, type Place } from "./paths.ts";
import type { CallSyntax, ConditionSyntax, PathSyntax, ValueSyntax } from "./syntax.ts";
import type { Telemetry } from "./telemetry.ts";
import { compareValues, indexed, OttlEvaluationError, toFloat, type Value } from "./value.ts";

export type Condition = (telemetry: Telemetry) => boolean;

/** Makes functions of syntax, once for many items. Throws `OttlCompileError`. */
export class Compiler {
  readonly context: ContextName;

  constructor(context: ContextName) {
    this.context = context;
  }

  condition(syntax: ConditionSyntax): Condition {
    switch (syntax.kind) {
      case "or": {
        const parts = syntax.parts.map((part) => this.condition(part));
        return (telemetry) => parts.some((part) => part(telemetry));
      }
      case "and": {
        const parts = syntax.parts.map((part) => this.condition(part));
        return (telemetry) => parts.every((part) => part(telemetry));
      }
      case "not": {
        const part = this.condition(syntax.part);
        return (telemetry) => !part(telemetry);
      }
      case "constant":
        return () => syntax.value;
      case "test":
        return this.#test(syntax.call);
      case "compare": {
        const { op } = syntax;
        const left = this.value(syntax.left);
        const right = this.value(syntax.right);
        return (telemetry) => compareValues(op, left(telemetry), right(telemetry));
      }
    }
  }

  #test(call: CallSyntax): Condition {
    const getter = this.value(call);
    return (telemetry) => {
      const value = getter(telemetry);
      if (typeof value === "boolean") return value;
      throw new OttlEvaluationError(`value returned from converter ${call.name} is not a boolean`);
    };
  }

  value(syntax: ValueSyntax): Getter {
    switch (syntax.kind) {
      case "nil":
        return () => undefined;
      case "literal": {
        const value = literalOf(syntax.value);
        return () => value;
      }
      case "enum": {
        const value = enumValue(this.context, syntax.name);
        if (value === undefined) {
          throw new OttlCompileError(`enum symbol ${JSON.stringify(syntax.name)} not found`);
        }
        return () => value;
      }
      case "list": {
        const values = syntax.values.map((value) => this.value(value));
        return (telemetry) => values.map((value) => value(telemetry));
      }
      case "map": {
        const entries = syntax.entries.map(([key, value]) => [key, this.value(value)] as const);
        return (telemetry) => new Map(entries.map(([key, value]) => [key, value(telemetry)]));
      }
      case "math": {
        const { op } = syntax;
        const [left, right] = [this.value(syntax.left), this.value(syntax.right)];
        return (telemetry) => calculated(op, left(telemetry), right(telemetry));
      }
      case "path":
        return this.place(syntax).get;
      case "call":
        return this.#converter(syntax);
    }
  }

  place({ fields, text }: PathSyntax): Place {
    const keys = fields.at(-1)?.keys ?? [];
    const literals = keys.map((key) => constantOf(key));
    const place = compilePath(
      {
        names: fields.map(({ name }) => name),
        keys: keys.map((key) => this.value(key)),
        literalKeys: literals.every((key) => key !== undefined) ? literals : undefined,
        hasInnerKeys: fields.slice(0, -1).some((field) => field.keys.length > 0),
        text,
      },
      this.context,
    );
    if (typeof place === "string") throw new OttlCompileError(place);
    return place;
  }

  #converter(call: CallSyntax): Getter {
    const get = this.call(call, CONVERTERS);
    if (call.keys.length === 0) return get;
    const keys = call.keys.map((key) => this.value(key));
    return (telemetry) =>
      indexed(
        get(telemetry),
        keys.map((key) => key(telemetry)),
      );
  }

  /** Compiles a call of one of the functions. */
  call<Result>(call: CallSyntax, functions: ReadonlyMap<string, Builtin<Result>>): Result {
    const builtin = functions.get(call.name);
    const isHere = builtin?.contexts?.includes(this.context) !== false;
    if (builtin === undefined || !isHere) {
      throw new OttlCompileError(`undefined function ${JSON.stringify(call.name)}`);
    }
    return builtin.make(new Arguments(call.name, this.#byName(call, builtin), this.context));
  }

  #byName(call: CallSyntax, { parameters }: Builtin<unknown>): ReadonlyMap<string, Argument> {
    const quoted = JSON.stringify(call.name);
    const names = parameters.map((parameter) => parameter.replace("?", ""));
    const needed = parameters.filter((parameter) => !parameter.endsWith("?")).length;
    const { length } = call.args;
    if (length > names.length || length < needed) {
      const expected = needed === names.length ? `${needed}` : `${needed} to ${names.length}`;
      throw new OttlCompileError(
        `error while parsing arguments for call to ${quoted}: incorrect number of ` +
          `arguments. Expected: ${expected} Received: ${length}`,
      );
    }
    const byName = new Map<string, Argument>();
    for (const [at, { name = names[at] ?? "", value }] of call.args.entries()) {
      if (!names.includes(name)) {
        throw new OttlCompileError(`no such parameter of ${quoted}: ${name}`);
      }
      byName.set(name, this.#argument(value));
    }
    const missing = parameters.find((name) => !name.endsWith("?") && !byName.has(name));
    if (missing !== undefined) throw new OttlCompileError(`${quoted} needs ${missing}`);
    return byName;
  }

  #argument(syntax: ValueSyntax): Argument {
    const isFunction =
      syntax.kind === "enum" && CONVERTERS.has(syntax.name) && this.#isNoEnum(syntax.name);
    if (isFunction) {
      const none = { literal: undefined, isLiteral: false, place: undefined };
      return { get: () => undefined, symbol: syntax.name, ...none };
    }
    const literal = constantOf(syntax);
    const place = syntax.kind === "path" ? this.place(syntax) : undefined;
    return {
      get: place?.get ?? this.value(syntax),
      literal,
      isLiteral: literal !== undefined || syntax.kind === "nil",
      place,
      symbol: undefined,
    };
  }

  #isNoEnum(name: string): boolean {
    return enumValue(this.context, name) === undefined;
  }
}

function literalOf(value: Extract<ValueSyntax, { kind: "literal" }>["value"]): Value {
  return typeof value === "object" && "float" in value ? toFloat(value.float) : value;
}

/** The value of what is written out: a literal or a list of them. */
function constantOf(syntax: ValueSyntax): Value {
  if (syntax.kind === "literal") return literalOf(syntax.value);
  if (syntax.kind !== "list") return undefined;
  const values = syntax.values.map((value) => constantOf(value));
  return values.every((value) => value !== undefined) ? values : undefined;
}
