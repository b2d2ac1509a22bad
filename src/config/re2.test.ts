// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { compileRe2 } from "./re2.ts";

function matches(pattern: string, text: string): boolean {
  const compiled = compileRe2(pattern);
  assert.ok(typeof compiled !== "string", String(compiled));
  return compiled.regexp.test(text);
}

// Syntax: github.com/google/re2/wiki/Syntax.
test("RE2's own syntax means the same here", () => {
  assert.equal(matches("(?i)abc", "xABCx"), true);
  assert.equal(matches("(?s)a.b", "a\nb"), true);
  assert.equal(matches("a.b", "a\nb"), false);
  assert.equal(matches("\\Aab\\z", "ab"), true);
  assert.equal(matches("(?m)\\Ab", "a\nb"), false);
  assert.equal(matches("\\Qa.b\\E$", "a.b"), true);
  assert.equal(matches("\\Qa.b\\E$", "axb"), false);
  assert.equal(matches("^[[:alpha:]_]+$", "a_B"), true);
  assert.equal(matches("^[[:alpha:]_]+$", "a1"), false);
  assert.equal(matches("^\\p{Lu}\\pL$", "Éé"), true);
  assert.equal(matches("^[(]x[)]$", "(x)"), true);
});

test("groups keep their names by number", () => {
  const compiled = compileRe2("(?P<a>x)(?:y)(z)(?<b_1>[(])");
  assert.ok(typeof compiled !== "string");
  assert.deepEqual(compiled.groupNames, ["a", "", "b_1"]);
  assert.deepEqual([...(compiled.regexp.exec("xyz(") ?? [])].slice(1), ["x", "z", "("]);
});

test("a pattern that is none is told", () => {
  assert.equal(typeof compileRe2("(x"), "string");
});
