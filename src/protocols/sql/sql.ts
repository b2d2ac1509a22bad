// SPDX-License-Identifier: Apache-2.0

import type { StatementFacts } from "../database/statement.ts";
import { POSTGRESQL_DIALECT, type SqlDialect } from "./dialects.ts";

const SUMMARY_MAX = 255;
const TARGETS_MAX = 16;

const SPACE = 0;
const WORD = 1;
const QUOTED = 2;
const LITERAL = 3;
const PARAMETER = 4;
const SYMBOL = 5;

/** Operations that stand first in a statement; the others are found inside one. */
const STATEMENTS: ReadonlySet<string> = new Set(
  `SELECT INSERT UPDATE DELETE MERGE WITH VALUES TABLE BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT
   RELEASE SET RESET SHOW COPY CREATE ALTER DROP TRUNCATE GRANT REVOKE EXPLAIN ANALYZE VACUUM CALL DO
   EXECUTE PREPARE DEALLOCATE DECLARE FETCH MOVE CLOSE LISTEN NOTIFY UNLISTEN LOCK REINDEX CLUSTER
   REFRESH COMMENT DISCARD CHECKPOINT LOAD IMPORT SECURITY REASSIGN REPLACE USE DESCRIBE DESC KILL FLUSH
   OPTIMIZE REPAIR CHECK HANDLER RENAME INSTALL XA BATCH APPLY LIST EXISTS ATTACH DETACH SYSTEM`.split(
    /\s+/,
  ),
);
const INNER: ReadonlySet<string> = new Set(["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"]);
/** Kinds of things that CREATE, ALTER and DROP name. */
const OBJECTS: ReadonlySet<string> = new Set(
  `TABLE INDEX VIEW SEQUENCE SCHEMA DATABASE FUNCTION PROCEDURE TRIGGER TYPE ROLE USER EXTENSION
   KEYSPACE AGGREGATE DICTIONARY EVENT SERVER`.split(/\s+/),
);
const BEFORE_NAME: ReadonlySet<string> = new Set(
  "IF NOT EXISTS ONLY CONCURRENTLY IGNORE LOW_PRIORITY DELAYED QUICK".split(" "),
);
/** What a target comes after. */
const BEFORE_TARGET: ReadonlySet<string> = new Set(["FROM", "JOIN", "INTO"]);
/** Operations that are followed by their target. */
const WITH_TARGET: ReadonlySet<string> = new Set(
  "UPDATE TABLE COPY TRUNCATE USE CALL DESCRIBE OPTIMIZE".split(" "),
);

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
    if (WITH_TARGET.has(upper)) this.#target = "wanted";
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
    } else if (BEFORE_TARGET.has(upper) && this.#last !== "DISTINCT") {
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
    // TRUNCATE TABLE, INSERT INTO TABLE
    if (BEFORE_NAME.has(upper) || upper === "TABLE") return;
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

  result(): StatementFacts {
    const single = this.#operations === 1 && this.#statements <= 1;
    let summary = "";
    for (const part of this.#parts) {
      const longer = summary === "" ? part : `${summary} ${part}`;
      if (longer.length > SUMMARY_MAX) break;
      summary = longer;
    }
    const target = single && this.#targets === 1 ? unquoted(this.#firstTarget) : "";
    const operation = single ? this.#firstOperation : "";
    // CREATE and the like name other things than tables, too.
    const isOther = operation.includes(" ") && !/ (?:TABLE|VIEW)$/.test(operation);
    return {
      text: this.#out,
      summary,
      operation,
      collection: /^(?:CALL|USE)$/.test(operation) || isOther ? "" : target,
      procedure: operation === "CALL" ? target : "",
      namespace: operation === "USE" ? target : "",
    };
  }
}

/** A name as the catalogue has it; names of several parts stay as they are. */
function unquoted(name: string): string {
  const inner = /^(["`])((?:(?!\1)[\s\S])*)\1$/.exec(name);
  return inner?.[2] ?? name;
}

/**
 * What a statement says, its text without literals unless it is wanted `raw`. `sql` may be cut off
 * anywhere.
 */
export function summarizeSql(
  sql: string,
  dialect: SqlDialect = POSTGRESQL_DIALECT,
  raw: boolean = false,
): StatementFacts {
  const scanner = new Scanner();
  const { token } = dialect;
  let at = 0;
  while (at < sql.length) {
    token.lastIndex = at;
    const match = token.exec(sql);
    const groups = match?.groups;
    if (match === null || groups === undefined) break;
    at = token.lastIndex;
    if (groups["space"] === "/*") {
      at = commentEnd(sql, at, dialect.nestedComments);
      scanner.token(SPACE, "");
    } else if (groups["dollar"] !== undefined) {
      const end = sql.indexOf(match[0], at);
      at = end < 0 ? sql.length : end + match[0].length;
      scanner.token(LITERAL, "");
    } else scanner.token(kindOf(groups), match[0]);
  }
  const facts = scanner.result();
  return raw ? { ...facts, text: sql } : facts;
}

function kindOf(groups: Readonly<Record<string, string | undefined>>): number {
  if (groups["space"] !== undefined) return SPACE;
  if (groups["word"] !== undefined) return WORD;
  if (groups["quoted"] !== undefined) return QUOTED;
  if (groups["parameter"] !== undefined) return PARAMETER;
  return groups["symbol"] === undefined ? LITERAL : SYMBOL;
}

function commentEnd(sql: string, start: number, nested: boolean): number {
  if (!nested) {
    const end = sql.indexOf("*/", start);
    return end < 0 ? sql.length : end + 2;
  }
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

/** Does a statement begin with this word? */
export function isSqlStatement(word: string): boolean {
  return STATEMENTS.has(word.toUpperCase());
}
