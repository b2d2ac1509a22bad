// SPDX-License-Identifier: Apache-2.0
import { OttlCompileError } from "./arguments.ts";
import { Compiler, type Condition } from "./compiler.ts";
import { EDITORS } from "./editors.ts";
import { OttlSyntaxError } from "./lexer.ts";
import { parseCondition, parseStatement } from "./parser.ts";
import { type ContextName, seesContext } from "./paths.ts";
import type { ConditionSyntax, StatementSyntax, ValueSyntax } from "./syntax.ts";
import type { Telemetry } from "./telemetry.ts";

export type Statement = (telemetry: Telemetry) => void;

/** Statements that are run on the items of one context, when one of the conditions is true. */
export interface StatementGroup {
  readonly context: ContextName;
  readonly statements: readonly Statement[];
  readonly conditions: readonly Condition[];
}

export interface GroupTexts {
  /** Undefined: found by the paths. */
  readonly context: ContextName | undefined;
  /** Contexts that the signal has, the widest first. */
  readonly contexts: readonly ContextName[];
  readonly statements: readonly string[];
  readonly conditions: readonly string[];
}

/** What is wrong and with which statement; -1 where it is with all. */
export interface GroupProblem {
  readonly message: string;
  readonly statement: number;
  readonly condition: number;
}

interface Parsed {
  readonly statements: readonly StatementSyntax[];
  readonly conditions: readonly ConditionSyntax[];
}

class Wrong extends Error {
  readonly problem: GroupProblem;
  constructor(problem: GroupProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** Compiles a group once for many items. */
export function compileGroup(texts: GroupTexts): StatementGroup | GroupProblem {
  try {
    const parsed = {
      statements: texts.statements.map((text, statement) =>
        located(() => parseStatement(text), { what: "statement", text, statement }),
      ),
      conditions: texts.conditions.map((text, condition) =>
        located(() => parseCondition(text), { what: "condition", text, condition }),
      ),
    };
    return texts.context === undefined
      ? inferred(texts, parsed)
      : compiled(texts, parsed, texts.context);
  } catch (error) {
    if (error instanceof Wrong) return error.problem;
    throw error;
  }
}

interface Site {
  readonly what: "statement" | "condition";
  readonly text: string;
  readonly statement?: number;
  readonly condition?: number;
}

function located<T>(work: () => T, site: Site): T {
  const { what, text, statement = -1, condition = -1 } = site;
  try {
    return work();
  } catch (error) {
    const quoted = JSON.stringify(text);
    if (error instanceof OttlSyntaxError) {
      const message = `unable to parse OTTL ${what} ${quoted}: ${what} has invalid syntax: ${error.message}`;
      throw new Wrong({ message, statement, condition });
    }
    if (error instanceof OttlCompileError) {
      const message = `unable to parse OTTL ${what} ${quoted}: ${error.message}`;
      throw new Wrong({ message, statement, condition });
    }
    throw error;
  }
}

function compiled(texts: GroupTexts, parsed: Parsed, context: ContextName): StatementGroup {
  const compiler = new Compiler(context);
  const statements = parsed.statements.map((syntax, statement) => {
    const text = texts.statements[statement] ?? "";
    return located(() => compileStatement(compiler, syntax), {
      what: "statement",
      text,
      statement,
    });
  });
  const conditions = parsed.conditions.map((syntax, condition) => {
    const text = texts.conditions[condition] ?? "";
    return located(() => compiler.condition(syntax), { what: "condition", text, condition });
  });
  return { context, statements, conditions };
}

function compileStatement(compiler: Compiler, { editor, where }: StatementSyntax): Statement {
  const edit = compiler.call(editor, EDITORS);
  if (where === undefined) return edit;
  const isWanted = compiler.condition(where);
  return (telemetry) => {
    if (isWanted(telemetry)) edit(telemetry);
  };
}

/** The widest context that sees every path and has every function and enum. */
function inferred(texts: GroupTexts, parsed: Parsed): StatementGroup {
  const prefixes = new Set<string>();
  for (const { editor, where } of parsed.statements) {
    collectPrefixes(editor, prefixes);
    if (where !== undefined) collectFromCondition(where, prefixes);
  }
  for (const condition of parsed.conditions) collectFromCondition(condition, prefixes);
  const names = (list: readonly string[]): string =>
    `[${list.map((text) => JSON.stringify(text)).join(" ")}]`;
  const head =
    `unable to infer a valid context (${names(texts.contexts)}) from statements ` +
    `${names(texts.statements)} and conditions ${names(texts.conditions)}: `;
  const seeing = texts.contexts.filter((context) =>
    [...prefixes].every((prefix) => seesContext(context, prefix)),
  );
  let problem: GroupProblem | undefined;
  for (const context of prefixes.size === 0 ? [] : seeing) {
    try {
      return compiled(texts, parsed, context);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      const why = error.message.replace(/^unable to parse OTTL \w+ "(?:\\.|[^"\\])*": /, "");
      const missing = /^undefined function (.*)$/.exec(why)?.[1];
      const what = missing === undefined ? `: ${why}` : ` does not support the function ${missing}`;
      const isClosest = missing === undefined || problem === undefined;
      const message = `${head}inferred context "${context}"${what}`;
      if (isClosest) problem = { ...error.problem, message };
    }
  }
  const unknown = [...prefixes].filter(
    (prefix) => !texts.contexts.some((context) => seesContext(context, prefix)),
  );
  const why =
    unknown.length > 0
      ? `no context has the paths ${names(unknown)}. Begin each path with its context, as "span.name"`
      : 'the paths name no context, or no one context has them all. Begin each with one, as "span.name"';
  throw new Wrong(problem ?? { message: head + why, statement: -1, condition: -1 });
}

function collectFromCondition(syntax: ConditionSyntax, into: Set<string>): void {
  switch (syntax.kind) {
    case "or":
    case "and":
      for (const part of syntax.parts) collectFromCondition(part, into);
      break;
    case "not":
      collectFromCondition(syntax.part, into);
      break;
    case "test":
      collectPrefixes(syntax.call, into);
      break;
    case "compare":
      collectPrefixes(syntax.left, into);
      collectPrefixes(syntax.right, into);
      break;
    case "constant":
      break;
  }
}

/** What the paths begin with. */
function collectPrefixes(syntax: ValueSyntax, into: Set<string>): void {
  switch (syntax.kind) {
    case "path":
      into.add(syntax.fields[0]?.name ?? "");
      for (const { keys } of syntax.fields) for (const key of keys) collectPrefixes(key, into);
      break;
    case "call":
      for (const { value } of syntax.args) collectPrefixes(value, into);
      for (const key of syntax.keys) collectPrefixes(key, into);
      break;
    case "list":
      for (const value of syntax.values) collectPrefixes(value, into);
      break;
    case "map":
      for (const [, value] of syntax.entries) collectPrefixes(value, into);
      break;
    case "math":
      collectPrefixes(syntax.left, into);
      collectPrefixes(syntax.right, into);
      break;
    default:
      break;
  }
}
