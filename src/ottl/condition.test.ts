// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileCondition } from "./condition.ts";
import { Telemetry } from "./telemetry.ts";
import { OttlEvaluationError } from "./value.ts";

const PIECES = [
  "name",
  "attributes",
  '["a"]',
  "[0]",
  ".",
  "==",
  "!=",
  "<",
  "and",
  "or",
  "not",
  "(",
  ")",
  "nil",
  "true",
  "1",
  "-2.5",
  "0xab",
  '"x"',
  "IsMatch(",
  "Len(",
  ",",
  "+",
  "*",
  "/",
  "[",
  "]",
  "SPAN_KIND_SERVER",
  "resource.",
  "status.code",
  "kind",
];

test("any text is a condition or a message, and a condition on no data gives a truth or an error", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }), (pieces) => {
      const compiled = compileCondition(pieces.join(" "), "span");
      if (typeof compiled === "string") {
        assert.match(compiled, /^unable to parse OTTL condition /);
        return;
      }
      try {
        assert.equal(typeof compiled(new Telemetry()), "boolean");
      } catch (error) {
        assert.ok(error instanceof OttlEvaluationError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("many brackets side by side are no nesting", () => {
  const many = Array.from({ length: 200 }, () => "(true and (not false))").join(" and ");
  const compiled = compileCondition(many, "span");
  assert.ok(typeof compiled !== "string", String(compiled));
  assert.equal(compiled(new Telemetry()), true);
});

test("nesting has a bound", () => {
  const deep = `${"(".repeat(5_000)}true${")".repeat(5_000)}`;
  const startMs = performance.now();
  assert.equal(typeof compileCondition(deep, "span"), "string");
  assert.ok(performance.now() - startMs < 2_000);
});

test("a condition never reads outside the bytes, whatever they are", () => {
  const condition = compileCondition(
    'attributes["a"] == 1 or status.code == 2 or start_time_unix_nano > 5 or name == "x"',
    "span",
  );
  assert.ok(typeof condition !== "string");
  const telemetry = new Telemetry();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      telemetry.item.reset(bytes, 0, bytes.length);
      try {
        condition(telemetry);
      } catch (error) {
        assert.match(String(error), /malformed OTLP/);
      }
    }),
    { numRuns: 2_000 },
  );
});
