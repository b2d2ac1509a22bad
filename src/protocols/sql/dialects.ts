// SPDX-License-Identifier: Apache-2.0

/** How a dialect of SQL writes literals, names and comments. */
export interface SqlDialect {
  /** One token of each kind by its group's name, for the flag `y`; each alternative is linear. */
  readonly token: RegExp;
  readonly nestedComments: boolean;
}

interface Lexis {
  /** A backslash in `'…'` always takes the next character along. */
  readonly backslashes: boolean;
  /** `"…"` is a literal as `'…'` is, and no name. */
  readonly doubleQuotesAreStrings: boolean;
  readonly backticks: boolean;
  /** `#…` is a comment, up to the line's end. */
  readonly hashComments: boolean;
  /** `//…` is a comment, up to the line's end. */
  readonly slashComments: boolean;
  /** `--` begins a comment only before white space. */
  readonly dashesNeedSpace: boolean;
  /** `$tag$…$tag$` and `$1` */
  readonly dollars: boolean;
  /** `E'…'` has backslashes. */
  readonly escapeStrings: boolean;
  /** UUIDs without quotes are literals. */
  readonly uuids: boolean;
  readonly nestedComments: boolean;
}

const PLAIN_LEXIS: Lexis = {
  backslashes: false,
  doubleQuotesAreStrings: false,
  backticks: false,
  hashComments: false,
  slashComments: false,
  dashesNeedSpace: false,
  dollars: false,
  escapeStrings: false,
  uuids: false,
  nestedComments: false,
};

const UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
const BACKSLASHED = String.raw`'(?:[^'\\]|\\[\s\S]|'')*'?`;
const DOUBLE_BACKSLASHED = String.raw`"(?:[^"\\]|\\[\s\S]|"")*"?`;
const DOLLAR_TAG = String.raw`\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$`;
const NUMBER = String.raw`(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?[\w]*`;

function createDialect(given: Partial<Lexis>): SqlDialect {
  const lexis = { ...PLAIN_LEXIS, ...given };
  const dashes = lexis.dashesNeedSpace ? String.raw`--(?=\s|$)[^\n]*` : String.raw`--[^\n]*`;
  const spaces = [String.raw`\s+`, dashes, String.raw`/\*`];
  if (lexis.hashComments) spaces.push(String.raw`#[^\n]*`);
  if (lexis.slashComments) spaces.push(String.raw`//[^\n]*`);
  const literals = [`(?:[bBxXnN]|[uU]&)?${lexis.backslashes ? BACKSLASHED : "'(?:[^']|'')*'?"}`];
  if (lexis.escapeStrings) literals.unshift(`[eE]${BACKSLASHED}`);
  if (lexis.doubleQuotesAreStrings) literals.push(DOUBLE_BACKSLASHED);
  if (lexis.uuids) literals.push(UUID);
  const names: string[] = [];
  if (!lexis.doubleQuotesAreStrings) names.push('(?:[uU]&)?"(?:[^"]|"")*"?');
  if (lexis.backticks) names.push("`(?:[^`]|``)*`?");
  const groups = [
    `(?<space>${spaces.join("|")})`,
    `(?<literal>${literals.join("|")})`,
    ...(lexis.dollars ? [`(?<dollar>${DOLLAR_TAG})`, String.raw`(?<parameter>\$\d+)`] : []),
    `(?<number>${NUMBER})`,
    `(?<quoted>${names.join("|")})`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<symbol>[\s\S])`,
  ];
  return { token: new RegExp(groups.join("|"), "y"), nestedComments: lexis.nestedComments };
}

/** https://www.postgresql.org/docs/current/sql-syntax-lexical.html */
export const POSTGRESQL_DIALECT: SqlDialect = createDialect({
  dollars: true,
  escapeStrings: true,
  nestedComments: true,
});

/**
 * https://dev.mysql.com/doc/refman/8.4/en/string-literals.html, as it is without the modes
 * ANSI_QUOTES and NO_BACKSLASH_ESCAPES: `"…"` may be a name then, and is left out all the same.
 */
export const MYSQL_DIALECT: SqlDialect = createDialect({
  backslashes: true,
  doubleQuotesAreStrings: true,
  backticks: true,
  hashComments: true,
  dashesNeedSpace: true,
});

/** https://cassandra.apache.org/doc/latest/cassandra/developing/cql/definitions.html */
export const CQL_DIALECT: SqlDialect = createDialect({
  dollars: true,
  slashComments: true,
  uuids: true,
});

/** https://clickhouse.com/docs/sql-reference/syntax */
export const CLICKHOUSE_DIALECT: SqlDialect = createDialect({
  backslashes: true,
  backticks: true,
  hashComments: true,
});
