// SPDX-License-Identifier: Apache-2.0
import type { SqlDialect } from "./dialects.ts";

const X = 0x78;
const ONE = 0x31;
const QUOTES: ReadonlySet<number> = new Set([0x22, 0x27]);
const decoder = new TextDecoder("latin1");

/**
 * Literals and comments of a statement become as many other characters, in place: what `summarizeSql`
 * says of it stays the same.
 */
export function maskSql(bytes: Uint8Array, dialect: SqlDialect): void {
  // One character for each byte: those above 127 are letters to the dialect, as they are in UTF-8.
  const sql = decoder.decode(bytes);
  const { token } = dialect;
  for (let at = 0; at < sql.length; ) {
    token.lastIndex = at;
    const match = token.exec(sql);
    const groups = match?.groups;
    if (match === null || groups === undefined) return;
    const end = token.lastIndex;
    at = end;
    if (groups["number"] !== undefined) bytes.fill(ONE, end - match[0].length, end);
    else if (groups["literal"] !== undefined) maskLiteral(bytes, end - match[0].length, end);
    else if (groups["dollar"] !== undefined) {
      const close = sql.indexOf(match[0], end);
      bytes.fill(X, end, close < 0 ? bytes.length : close);
      at = close < 0 ? sql.length : close + match[0].length;
    } else if (groups["space"] === "/*") at = maskComment(bytes, sql, end, dialect.nestedComments);
    else if (/^(?:--|#|\/\/)/.test(match[0])) bytes.fill(X, end - match[0].length + 2, end);
  }
}

/** What is between the first quote and the last one; a UUID has none. */
function maskLiteral(bytes: Uint8Array, start: number, end: number): void {
  let first = start;
  while (first < end && !QUOTES.has(bytes[first] ?? 0)) first++;
  if (first === end) {
    for (let at = start; at < end; at++) if (bytes[at] !== 0x2d) bytes[at] = ONE;
    return;
  }
  const isClosed = end > first + 1 && bytes[end - 1] === bytes[first];
  bytes.fill(X, first + 1, isClosed ? end - 1 : end);
}

/** Where it ends; the marks of comments inside of it stay. */
function maskComment(bytes: Uint8Array, sql: string, start: number, isNested: boolean): number {
  let depth = 1;
  let at = start;
  while (at < sql.length && depth > 0) {
    const two = sql.slice(at, at + 2);
    if (two === "*/" || (two === "/*" && isNested)) {
      depth += two === "*/" ? -1 : 1;
      at += 2;
    } else bytes[at++] = X;
  }
  return at;
}
