// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CLICKHOUSE_DIALECT, CQL_DIALECT, MYSQL_DIALECT, type SqlDialect } from "./dialects.ts";
import { summarizeSql } from "./sql.ts";

/** Texts by PostgreSQL's lexical rules (4.1), summaries by the conventions' examples. */
const CASES: readonly (readonly [string, string, string])[] = [
  [
    "SELECT * FROM wuser_table WHERE username = 'a'",
    "SELECT * FROM wuser_table WHERE username = ?",
    "SELECT wuser_table",
  ],
  ["select 1.5e-3, .5, 0x1F, 1_000", "select ?, ?, ?, ?", "SELECT"],
  [
    "SELECT 'it''s', E'a\\'b', $$x'y$$, $t$ $$ $t$, B'01', U&'d'",
    "SELECT ?, ?, ?, ?, ?, ?",
    "SELECT",
  ],
  ["SELECT /* secret /* 5 */ */ a -- 7\nFROM t", "SELECT a FROM t", "SELECT t"],
  [
    "INSERT INTO shipping_details (a) SELECT b FROM orders",
    "INSERT INTO shipping_details (a) SELECT b FROM orders",
    "INSERT shipping_details SELECT orders",
  ],
  [
    "SELECT * FROM songs JOIN artists ON x = 5",
    "SELECT * FROM songs JOIN artists ON x = ?",
    "SELECT songs artists",
  ],
  [
    "SELECT a FROM s.t, u WHERE id IN ($1, $2)",
    "SELECT a FROM s.t, u WHERE id IN ($1, $2)",
    "SELECT s.t u",
  ],
  ["DELETE FROM t WHERE id IN (1,2 , 3)", "DELETE FROM t WHERE id IN (?)", "DELETE t"],
  ["UPDATE t1 SET a = 'x'", "UPDATE t1 SET a = ?", "UPDATE t1"],
  ["BEGIN", "BEGIN", "BEGIN"],
  ["DROP TABLE IF EXISTS users", "DROP TABLE IF EXISTS users", "DROP TABLE users"],
  ["SELECT 'never closed", "SELECT ?", "SELECT"],
];

/** By the lexical rules that dialects.ts names. */
const DIALECT_CASES: readonly (readonly [SqlDialect, string, string, string])[] = [
  [
    MYSQL_DIALECT,
    `SELECT 'a\\'b', "c""d", 5 FROM \`my t\` # 7`,
    "SELECT ?, ?, ? FROM `my t`",
    "SELECT `my t`",
  ],
  [MYSQL_DIALECT, "SELECT 5--3 -- 8\nFROM t", "SELECT ?--? FROM t", "SELECT t"],
  [MYSQL_DIALECT, "SELECT /* /* 5 */ a FROM t", "SELECT a FROM t", "SELECT t"],
  [MYSQL_DIALECT, "REPLACE INTO t VALUES (1)", "REPLACE INTO t VALUES (?)", "REPLACE t"],
  [MYSQL_DIALECT, "CALL pay(5)", "CALL pay(?)", "CALL pay"],
  [
    MYSQL_DIALECT,
    "INSERT INTO t VALUES (_utf8'x') ON DUPLICATE KEY UPDATE a = 5",
    "INSERT INTO t VALUES (_utf8?) ON DUPLICATE KEY UPDATE a = ?",
    "INSERT t",
  ],
  [
    MYSQL_DIALECT,
    "LOAD DATA LOCAL INFILE 'f' INTO TABLE t",
    "LOAD DATA LOCAL INFILE ? INTO TABLE t",
    "LOAD t",
  ],
  [
    CQL_DIALECT,
    "SELECT a FROM k.t WHERE id = 123e4567-e89b-12d3-a456-426614174000 // 5",
    "SELECT a FROM k.t WHERE id = ?",
    "SELECT k.t",
  ],
  [
    CQL_DIALECT,
    "INSERT INTO t (a) VALUES ($$it's$$) USING TTL 60",
    "INSERT INTO t (a) VALUES (?) USING TTL ?",
    "INSERT t",
  ],
  [
    CLICKHOUSE_DIALECT,
    `SELECT "a" FROM \`t\` WHERE b = 'x\\'y'`,
    'SELECT "a" FROM `t` WHERE b = ?',
    "SELECT `t`",
  ],
];

describe("summarizeSql", () => {
  for (const [dialect, sql, text, summary] of DIALECT_CASES) {
    it(JSON.stringify(sql), () => {
      const found = summarizeSql(sql, dialect);
      assert.equal(found.text, text);
      assert.equal(found.summary, summary);
    });
  }

  it("names procedures, databases and tables without their quotes", () => {
    assert.equal(summarizeSql("CALL pay(5)", MYSQL_DIALECT).procedure, "pay");
    assert.equal(summarizeSql("USE `shop`", MYSQL_DIALECT).namespace, "shop");
    assert.equal(summarizeSql("SELECT 1 FROM `t`", MYSQL_DIALECT).collection, "t");
  });

  it("keeps the text where it is wanted raw", () => {
    const sql = "SELECT 'a' FROM t -- c";
    assert.equal(summarizeSql(sql, MYSQL_DIALECT, true).text, sql);
  });

  for (const [sql, text, summary] of CASES) {
    it(JSON.stringify(sql), () => {
      const found = summarizeSql(sql);
      assert.equal(found.text, text);
      assert.equal(found.summary, summary);
    });
  }

  it("never shows what stands in quotes", () => {
    const literal = fc.string({ maxLength: 30 }).map((text) => `SECRET${text}SECRET`);
    const check = (value: string, before: string): void => {
      const word = before.replace(/[^a-z ]/g, "");
      const sql = `SELECT ${word} '${value.replaceAll("'", "''")}' FROM t`;
      assert.ok(!summarizeSql(sql).text.includes("SECRET"));
    };
    fc.assert(fc.property(literal, fc.string({ maxLength: 10 }), check), { numRuns: 500 });
  });

  it("takes linear time", () => {
    for (const part of [
      "/*",
      "`",
      "#",
      "//",
      '"\\',
      "0a-",
      "'",
      '"',
      "$a$",
      "(",
      "1.",
      "--",
      "E'\\",
      "IN (1,",
      "a.",
    ]) {
      const startMs = performance.now();
      for (const dialect of [undefined, MYSQL_DIALECT, CQL_DIALECT, CLICKHOUSE_DIALECT]) {
        summarizeSql(part.repeat(20_000), dialect);
      }
      assert.ok(performance.now() - startMs < 1000, part);
    }
  });
});
