// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareValues } from "./value.ts";

test("objects of different kinds are unequal, in each other too", () => {
  const map = new Map([["a", 1]]);
  const bytes = Uint8Array.of(0xab);
  for (const [left, right] of [
    [map, bytes],
    [bytes, map],
    [[1], map],
    [[map], [bytes]],
  ] as const) {
    assert.equal(compareValues("==", left, right), false);
    assert.equal(compareValues("!=", left, right), true);
  }
  assert.equal(compareValues("==", new Map([["a", 1]]), map), true);
});
