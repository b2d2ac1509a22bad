// SPDX-License-Identifier: Apache-2.0
import { OttlCompileError } from "./arguments.ts";
import { Compiler, type Condition } from "./compiler.ts";
import { OttlSyntaxError } from "./lexer.ts";
import { parseCondition } from "./parser.ts";
import type { ContextName } from "./paths.ts";

export type { Condition } from "./compiler.ts";

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
    if (error instanceof OttlCompileError) {
      return `unable to parse OTTL condition ${quoted}: ${error.message}`;
    }
    throw error;
  }
}
