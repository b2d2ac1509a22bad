// SPDX-License-Identifier: Apache-2.0

/** A statement without its literals, and what it does to what. */
export interface SqlSummary {
  readonly text: string;
  /** Operations and their targets in order, such as `INSERT orders SELECT carts`; may be empty. */
  readonly summary: string;
  /** Of a single operation, else empty. */
  readonly operation: string;
  /** Of a single operation on a single table, else empty. */
  readonly collection: string;
}

const SUMMARY_MAX = 255;
const TARGETS_MAX = 16;

const SPACE = 0;
const WORD = 1;
const QUOTED = 2;
const LITERAL = 3;
const PARAMETER = 4;
const SYMBOL = 5;

/**
 * PostgreSQL's lexical rules (documentation, 4.1): comments, `'…'` with doubled quotes, `E'…'` with
 * backslashes, `$tag$…$tag$`, numbers, `"…"`, `$1`. Each alternative is linear.
 */
const TOKEN = new RegExp(
  [
    String.raw`(?<space>\s+|--[^\n]*|/\*)`,
    String.raw`(?<escaped>[eE]'(?:[^'\\]|\\[\s\S]|'')*'?)`,
    "(?<literal>(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'?)",
    String.raw`(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)`,
    String.raw`(?<parameter>\$\d+)`,
    String.raw`(?<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?[\w]*)`,
    '(?<quoted>(?:[uU]&)?"(?:[^"]|"")*"?)',
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<symbol>[\s\S])`,
  ].join("|"),
  "y",
);

/** Operations that stand first in a statement; the others are found inside one. */
const STATEMENTS: ReadonlySet<string> = new Set(
  `SELECT INSERT UPDATE DELETE MERGE WITH VALUES TABLE BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT
   RELEASE SET RESET SHOW COPY CREATE ALTER DROP TRUNCATE GRANT REVOKE EXPLAIN ANALYZE VACUUM CALL DO
   EXECUTE PREPARE DEALLOCATE DECLARE FETCH MOVE CLOSE LISTEN NOTIFY UNLISTEN LOCK REINDEX CLUSTER
   REFRESH COMMENT DISCARD CHECKPOINT LOAD IMPORT SECURITY REASSIGN`.split(/\s+/),
);
const INNER: ReadonlySet<string> = new Set(["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"]);
/** Kinds of things that CREATE, ALTER and DROP name. */
const OBJECTS: ReadonlySet<string> = new Set(
  "TABLE INDEX VIEW SEQUENCE SCHEMA DATABASE FUNCTION PROCEDURE TRIGGER TYPE ROLE USER EXTENSION".split(
    " ",
  ),
);
const BEFORE_NAME: ReadonlySet<string> = new Set(["IF", "NOT", "EXISTS", "ONLY", "CONCURRENTLY"]);

class Scanner {
  #out = "";
  #afterSpace = false;
  readonly #parts: string[] = [];
  #operations = 0;
  #targets = 0;
  #firstOperation = "";
  #firstTarget = "";
  #statements = 0;
  #atStart = true;
  #target: "none" | "wanted" | "comma" | "dotted" = "none";
  #object = false;
  #last = "";
  /** How many `?` the list in parentheses after IN has, -1 outside such a list. */
  #inList = -1;

  token(kind: number, text: string): void {
    if (kind === SPACE) {
      this.#afterSpace = this.#out !== "";
      return;
    }
    const shown = kind === LITERAL ? "?" : text;
    if (!this.#isListRest(kind, text)) {
      this.#out += this.#afterSpace ? ` ${shown}` : shown;
    }
    this.#afterSpace = false;
    this.#summarize(kind, text);
    this.#last = kind === WORD ? text.toUpperCase() : text;
  }

  /** `IN (?, ?, ?)` becomes `IN (?)`, as the conventions allow. */
  #isListRest(kind: number, text: string): boolean {
    if (this.#inList < 0) {
      if (text === "(" && this.#last === "IN") this.#inList = 0;
      return false;
    }
    const isValue = kind === LITERAL;
    if (isValue) return this.#inList++ > 0;
    if (text === "," && this.#inList > 0) return true;
    this.#inList = -1;
    return false;
  }

  #summarize(kind: number, text: string): void {
    const upper = kind === WORD ? text.toUpperCase() : "";
    if (kind === SYMBOL) this.#symbol(text);
    else if (this.#target === "wanted" || this.#target === "dotted")
      this.#nameOrKeyword(kind, text);
    else if (this.#atStart) {
      if (STATEMENTS.has(upper)) this.#operation(upper);
      this.#atStart = false;
    } else if (kind === WORD) this.#word(upper);
  }

  #operation(upper: string): void {
    this.#statements++;
    if (upper !== "WITH" && upper !== "EXPLAIN") this.#addOperation(upper);
    if (upper === "UPDATE" || upper === "TABLE" || upper === "COPY" || upper === "TRUNCATE") {
      this.#target = "wanted";
    }
    this.#object = upper === "CREATE" || upper === "ALTER" || upper === "DROP";
  }

  #word(upper: string): void {
    this.#target = "none";
    if (this.#object) {
      if (!OBJECTS.has(upper)) return;
      this.#object = false;
      this.#parts.push(upper);
      this.#firstOperation += ` ${upper}`;
      this.#target = "wanted";
      return;
    }
    const startsInner = this.#last === "(" || this.#last === ")" || this.#operations === 0;
    const follows = /^(?:AS|ALL|UNION|EXCEPT|INTERSECT|ANALYZE|VERBOSE)$/.test(this.#last);
    if (upper === "SELECT" || (INNER.has(upper) && (startsInner || follows))) {
      this.#addOperation(upper);
      if (upper === "UPDATE") this.#target = "wanted";
    } else if (/^(?:FROM|JOIN|INTO)$/.test(upper) && this.#last !== "DISTINCT") {
      // COPY names its table first; what it comes FROM is a file or the client.
      if (this.#firstOperation !== "COPY" || this.#operations > 1) this.#target = "wanted";
    } else if (upper === "TABLE" && this.#firstOperation === "TRUNCATE") this.#target = "wanted";
  }

  #symbol(text: string): void {
    if (text === ";") {
      this.#atStart = true;
      this.#target = "none";
    } else if (text === "." && this.#target === "comma") this.#target = "dotted";
    else if (text === "," && this.#target === "comma" && this.#firstOperation === "SELECT") {
      this.#target = "wanted";
    } else this.#target = "none";
  }

  #nameOrKeyword(kind: number, text: string): void {
    const upper = kind === WORD ? text.toUpperCase() : "";
    if (this.#target === "dotted") {
      const last = this.#parts.pop() ?? "";
      this.#parts.push(`${last}.${text}`);
      if (this.#targets === 1) this.#firstTarget = `${last}.${text}`;
      this.#target = "comma";
      return;
    }
    if (BEFORE_NAME.has(upper) || (upper === "TABLE" && this.#firstOperation === "TRUNCATE"))
      return;
    this.#target = "none";
    if (upper === "SELECT" || upper === "LATERAL") {
      if (upper === "SELECT") this.#addOperation(upper);
      return;
    }
    if (kind !== WORD && kind !== QUOTED) return;
    this.#targets++;
    if (this.#targets === 1) this.#firstTarget = text;
    if (this.#parts.length < 2 * TARGETS_MAX) this.#parts.push(text);
    this.#target = "comma";
  }

  #addOperation(upper: string): void {
    this.#operations++;
    if (this.#operations === 1) this.#firstOperation = upper;
    if (this.#parts.length < 2 * TARGETS_MAX) this.#parts.push(upper);
  }

  result(): SqlSummary {
    const single = this.#operations === 1 && this.#statements <= 1;
    let summary = "";
    for (const part of this.#parts) {
      const longer = summary === "" ? part : `${summary} ${part}`;
      if (longer.length > SUMMARY_MAX) break;
      summary = longer;
    }
    return {
      text: this.#out,
      summary,
      operation: single ? this.#firstOperation : "",
      collection: single && this.#targets === 1 ? this.#firstTarget : "",
    };
  }
}

/** `sql` may be cut off anywhere. */
export function summarizeSql(sql: string): SqlSummary {
  const scanner = new Scanner();
  let at = 0;
  while (at < sql.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(sql);
    const groups = match?.groups;
    if (match === null || groups === undefined) break;
    at = TOKEN.lastIndex;
    if (groups["space"] === "/*") {
      at = commentEnd(sql, at);
      scanner.token(SPACE, "");
    } else if (groups["dollar"] !== undefined) {
      const end = sql.indexOf(match[0], at);
      at = end < 0 ? sql.length : end + match[0].length;
      scanner.token(LITERAL, "");
    } else scanner.token(kindOf(groups), match[0]);
  }
  return scanner.result();
}

function kindOf(groups: Readonly<Record<string, string | undefined>>): number {
  if (groups["space"] !== undefined) return SPACE;
  if (groups["word"] !== undefined) return WORD;
  if (groups["quoted"] !== undefined) return QUOTED;
  if (groups["parameter"] !== undefined) return PARAMETER;
  return groups["symbol"] === undefined ? LITERAL : SYMBOL;
}

/** Comments nest in PostgreSQL. */
function commentEnd(sql: string, start: number): number {
  let depth = 1;
  let at = start;
  while (depth > 0) {
    const close = sql.indexOf("*/", at);
    if (close < 0) return sql.length;
    for (let open = sql.indexOf("/*", at); open >= 0 && open < close; ) {
      depth++;
      at = open + 2;
      open = sql.indexOf("/*", at);
    }
    depth--;
    at = close + 2;
  }
  return at;
}
