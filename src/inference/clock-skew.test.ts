// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { clockSkewUs } from "./clock-skew.ts";
import { createRandom } from "./random.ts";

function story(aheadUs: number, gapUs: number) {
  const random = createRandom(9);
  let at = 0;
  const handlers = [];
  const calls = [];
  for (let i = 0; i < 300; i++) {
    at += gapUs * (0.5 + random());
    const startUs = at + 200 + 300 * random();
    const endUs = startUs + 2000 + 3000 * random();
    handlers.push({ startUs: at, endUs: endUs + 200 + 300 * random() });
    calls.push({ startUs: startUs + aheadUs, endUs: endUs + aheadUs });
  }
  return { handlers, calls };
}

test("a clock that is ahead or behind is found to a fraction of a millisecond", () => {
  for (const aheadUs of [-70_000, -12_000, 9000, 33_000]) {
    const { handlers, calls } = story(aheadUs, 400_000);
    const found = clockSkewUs(handlers, calls);
    assert.ok(Math.abs(found - aheadUs) < 500, `${aheadUs}: found ${found}`);
  }
});

test("clocks that agree are left alone", () => {
  const { handlers, calls } = story(0, 20_000);
  assert.equal(clockSkewUs(handlers, calls), 0);
});

test("among many concurrent handlers no offset is made up", () => {
  const { handlers, calls } = story(4000, 300);
  assert.equal(clockSkewUs(handlers, calls), 0);
});
