// SPDX-License-Identifier: Apache-2.0
import { AgentError } from "../component/errors.ts";
import type { ConfigPath, Position } from "./node.ts";

/** One thing wrong with the configuration. */
export interface Problem {
  readonly at: Position | undefined;
  readonly path: ConfigPath;
  /** What is wrong and what to do. */
  readonly message: string;
}

const EXCERPT_MAX = 160;
const SECRETISH =
  /passw|secret|token|authori[sz]ation|api[-_]?key|credential|cookie|headers|_pem\b/i;

/** Thrown with every problem of a configuration at once, in the order of the sources. */
export class ConfigError extends AgentError {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    const sorted = sortProblems(problems);
    super("BS_CONFIG", sorted.map(formatProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = sorted;
  }
}

function sortProblems(problems: readonly Problem[]): readonly Problem[] {
  const rank = (problem: Problem): [number, number] =>
    problem.at === undefined
      ? [Number.MAX_SAFE_INTEGER, 0]
      : [problem.at.source.order, problem.at.offset];
  const seen = new Set<string>();
  return [...problems]
    .sort((a, b) => {
      const [orderA, offsetA] = rank(a);
      const [orderB, offsetB] = rank(b);
      return orderA - orderB || offsetA - offsetB;
    })
    .filter((problem) => {
      const text = formatProblem(problem);
      if (seen.has(text)) return false;
      seen.add(text);
      return true;
    });
}

/** `config.yaml:4:5 receivers::otlp: message`, then the line and a caret. */
export function formatProblem(problem: Problem): string {
  const path = problem.path.map(String).join("::");
  const what = path === "" ? problem.message : `${path}: ${problem.message}`;
  if (problem.at === undefined) return what;
  const { line, column, text } = lineAt(problem.at);
  const head = `${problem.at.source.name}:${line}:${column} ${what}`;
  if (text.trim() === "") return head;
  return `${head}\n${excerpt(text, column)}`;
}

interface Line {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

function lineAt(at: Position): Line {
  const { text } = at.source;
  const before = text.slice(0, at.offset);
  const start = before.lastIndexOf("\n") + 1;
  const end = text.indexOf("\n", start);
  return {
    line: before.split("\n").length,
    column: at.offset - start + 1,
    text: text.slice(start, end === -1 ? undefined : end).replace(/\r$/, ""),
  };
}

/** The line, without what could be a secret, and a caret under the column. */
function excerpt(text: string, column: number): string {
  const secret = SECRETISH.exec(text);
  const colon = secret === null ? -1 : text.indexOf(":", secret.index);
  const shown = colon === -1 ? text : `${text.slice(0, colon + 1)} [REDACTED]`;
  const start = column > EXCERPT_MAX - 20 ? column - 40 : 0;
  const caret = Math.min(column - 1, shown.length) - start;
  const indent = shown.slice(start, start + caret).replace(/[^\t]/g, " ");
  return `    ${shown.slice(start, start + EXCERPT_MAX)}\n    ${indent}^`;
}
