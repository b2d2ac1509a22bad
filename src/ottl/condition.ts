// SPDX-License-Identifier: Apache-2.0
import { messageOf } from "../component/errors.ts";
import { enumValue } from "./enums.ts";
import { compileCall } from "./functions.ts";
import { OttlSyntaxError } from "./lexer.ts";
import { parseCondition } from "./parser.ts";
import { type ContextName, compilePath, type Getter } from "./paths.ts";
import type { CallSyntax, ConditionSyntax, ValueSyntax } from "./syntax.ts";
import type { Telemetry } from "./telemetry.ts";
import { compareValues, OttlEvaluationError, type Value } from "./value.ts";

export type Condition = (telemetry: Telemetry) => boolean;

class CompileError extends Error {}

/** Compiles a condition once for many items; a text is what is wrong, in the Collector's words. */
export function compileCondition(text: string, context: ContextName): Condition | string {
  try {
    return new Compiler(context).condition(parseCondition(text));
  } catch (error) {
    const quoted = JSON.stringify(text);
    if (error instanceof OttlSyntaxError) {
      const what = `condition has invalid syntax: ${error.message}`;
      return `unable to parse OTTL condition ${quoted}: ${what}`;
    }
    if (error instanceof CompileError) {
      return `unable to parse OTTL condition ${quoted}: ${messageOf(error)}`;
    }
    throw error;
  }
}

class Compiler {
  readonly #context: ContextName;

  constructor(context: ContextName) {
    this.#context = context;
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
        const left = this.#value(syntax.left);
        const right = this.#value(syntax.right);
        return (telemetry) => compareValues(op, left(telemetry), right(telemetry));
      }
    }
  }

  #test(call: CallSyntax): Condition {
    const getter = this.#value(call);
    return (telemetry) => {
      const value = getter(telemetry);
      if (typeof value === "boolean") return value;
      throw new OttlEvaluationError(`value returned from converter ${call.name} is not a boolean`);
    };
  }

  #value(syntax: ValueSyntax): Getter {
    switch (syntax.kind) {
      case "nil":
        return () => undefined;
      case "literal": {
        const { value } = syntax;
        return () => value;
      }
      case "enum": {
        const value = enumValue(this.#context, syntax.name);
        if (value === undefined) {
          throw new CompileError(`enum symbol ${JSON.stringify(syntax.name)} not found`);
        }
        return () => value;
      }
      case "list": {
        const values = syntax.values.map((value) => this.#value(value));
        return (telemetry) => values.map((value) => value(telemetry));
      }
      case "math":
        return this.#math(syntax);
      case "path":
        return sound(compilePath(syntax, this.#context));
      case "call": {
        const args = syntax.args.map((arg) => this.#value(arg));
        const inputs = { context: this.#context, args, syntax: syntax.args };
        return sound(compileCall(syntax.name, inputs));
      }
    }
  }

  #math(syntax: Extract<ValueSyntax, { readonly kind: "math" }>): Getter {
    const { op } = syntax;
    if (op === "/")
      throw new CompileError("division is not supported yet. Multiply the other side");
    const left = this.#value(syntax.left);
    const right = this.#value(syntax.right);
    return (telemetry) => calculated(op, left(telemetry), right(telemetry));
  }
}

function calculated(op: string, left: Value, right: Value): Value {
  const isNumeric = (value: Value): value is number | bigint =>
    typeof value === "number" || typeof value === "bigint";
  if (!isNumeric(left) || !isNumeric(right)) {
    throw new OttlEvaluationError(`math operations are only supported for numbers and times`);
  }
  const areWhole = [left, right].every(
    (value) => typeof value === "bigint" || Number.isSafeInteger(value),
  );
  if (!areWhole || op === "*") {
    const [a, b] = [Number(left), Number(right)];
    return op === "+" ? a + b : op === "-" ? a - b : a * b;
  }
  const exact = op === "+" ? BigInt(left) + BigInt(right) : BigInt(left) - BigInt(right);
  const rounded = Number(exact);
  return Number.isSafeInteger(rounded) ? rounded : exact;
}

function sound(compiled: Getter | string): Getter {
  if (typeof compiled === "string") throw new CompileError(compiled);
  return compiled;
}
