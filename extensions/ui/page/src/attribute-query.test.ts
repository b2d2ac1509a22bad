// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { attributesOf, attributesText } from "./attribute-query.ts";
import { durationNs } from "./duration.ts";

test("conditions are separated by spaces, and quotes keep a value's spaces", () => {
  assert.deepEqual(attributesOf('http.route=/a  error.type db.query.text="SELECT 1 FROM t"'), [
    "http.route=/a",
    "error.type",
    "db.query.text=SELECT 1 FROM t",
  ]);
  assert.deepEqual(attributesOf("  "), []);
});

test("a value may hold equals signs, and what was written comes back", () => {
  const conditions = ["url.full=http://x/?a=b", "note=two words", "key"];
  assert.deepEqual(attributesOf(attributesText(conditions)), conditions);
});

test("no more than the API's eight conditions are sent", () => {
  assert.equal(attributesOf("a ".repeat(20)).length, 8);
});

test("a duration needs a number; without a unit it is milliseconds", () => {
  assert.equal(durationNs("1.5ms"), 1_500_000);
  assert.equal(durationNs("200 us"), 200_000);
  assert.equal(durationNs("2s"), 2_000_000_000);
  assert.equal(durationNs("7"), 7_000_000);
  assert.equal(durationNs(""), undefined);
  assert.equal(durationNs("fast"), undefined);
  assert.equal(durationNs("-1ms"), undefined);
});
