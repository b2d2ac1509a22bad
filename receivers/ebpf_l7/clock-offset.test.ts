// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clocks, isOffsetCurrent, measureOffset } from "./clock-offset.ts";

const OFFSET_NS = 1_700_000_000_123_456_789n;

/** The monotonic clock goes on by 3 µs a reading; the epoch clock shows whole milliseconds. */
function fakeClocks(offsetNs: bigint): Clocks {
  let nowNs = 987_654_321n;
  return {
    monotonicNs: () => {
      nowNs += 3000n;
      return nowNs;
    },
    epochMs: () => Number((nowNs + offsetNs) / 1_000_000n),
  };
}

test("the offset is measured to some microseconds", () => {
  const error = measureOffset(fakeClocks(OFFSET_NS)) - OFFSET_NS;
  assert.ok(error > -10_000n && error < 10_000n, `${error} ns`);
});

test("an interruption while measuring does not count", () => {
  const clocks = fakeClocks(OFFSET_NS);
  let readings = 0;
  const interrupted: Clocks = {
    monotonicNs: clocks.monotonicNs,
    epochMs: () => {
      readings += 1;
      // Four milliseconds pass in the second and the third look.
      if (readings === 2 || readings === 3) for (let at = 0; at < 1300; at++) clocks.monotonicNs();
      return clocks.epochMs();
    },
  };
  const error = measureOffset(interrupted) - OFFSET_NS;
  assert.ok(error > -10_000n && error < 10_000n, `${error} ns`);
});

test("a step of the epoch clock is noticed, its course is not", () => {
  const clocks = fakeClocks(OFFSET_NS);
  for (let reading = 0; reading < 1000; reading++) {
    assert.ok(isOffsetCurrent(clocks, OFFSET_NS));
  }
  assert.ok(!isOffsetCurrent(clocks, OFFSET_NS - 5_000_000n));
  assert.ok(!isOffsetCurrent(clocks, OFFSET_NS + 5_000_000n));
});

test("a clock that stands still does not hang", () => {
  let nowNs = 0n;
  const clocks: Clocks = {
    monotonicNs: () => {
      nowNs += 100_000n;
      return nowNs;
    },
    epochMs: () => 5,
  };
  measureOffset(clocks);
});
