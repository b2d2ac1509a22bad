// SPDX-License-Identifier: Apache-2.0

export type TokenKind =
  | "bytes"
  | "float"
  | "int"
  | "string"
  | "not"
  | "or"
  | "and"
  | "compare"
  | "math"
  | "boolean"
  | "punct"
  | "upper"
  | "lower"
  | "end";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Column, from 1. */
  readonly column: number;
}

/** OTTL's tokens, in the order in which they are tried (pkg/ottl, LANGUAGE.md). */
const RULES: readonly (readonly [TokenKind, RegExp])[] = [
  ["bytes", /0x[a-fA-F0-9]+/y],
  ["float", /[-+]?\d*\.\d+(?:[eE][-+]?\d+)?/y],
  ["int", /[-+]?\d+/y],
  ["string", /"(?:\\.|[^\\"])*"/y],
  ["not", /\bnot\b/y],
  ["or", /\bor\b/y],
  ["and", /\band\b/y],
  ["compare", /==|!=|>=|<=|>|</y],
  ["math", /[-+/*]/y],
  ["boolean", /\b(?:true|false)\b/y],
  ["punct", /[=(){}:,.[\]]/y],
  ["upper", /[A-Z][A-Z0-9_]*/y],
  ["lower", /[a-z][a-z0-9_]*/y],
];

/** The text is not OTTL; the message is the Collector's, from `1:` on. */
export class OttlSyntaxError extends Error {}

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text.charAt(at))) {
      at++;
      continue;
    }
    const token = tokenAt(text, at);
    if (token === undefined) {
      const rest = JSON.stringify(text.slice(at));
      throw new OttlSyntaxError(`1:${at + 1}: invalid input text ${rest}`);
    }
    tokens.push(token);
    at += token.text.length;
  }
  tokens.push({ kind: "end", text: "<EOF>", column: text.length + 1 });
  return tokens;
}

function tokenAt(text: string, at: number): Token | undefined {
  for (const [kind, rule] of RULES) {
    rule.lastIndex = at;
    const match = rule.exec(text);
    if (match !== null) return { kind, text: match[0], column: at + 1 };
  }
  return undefined;
}
