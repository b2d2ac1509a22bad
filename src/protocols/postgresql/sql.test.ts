// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
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

describe("summarizeSql", () => {
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
    for (const part of ["/*", "'", '"', "$a$", "(", "1.", "--", "E'\\", "IN (1,", "a."]) {
      const startMs = performance.now();
      summarizeSql(part.repeat(20_000));
      assert.ok(performance.now() - startMs < 1000, part);
    }
  });
});
