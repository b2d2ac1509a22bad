// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EpochClock } from "./epoch-clock.ts";

describe("EpochClock", () => {
  it("adds exactly, as BigInt does", () => {
    const offset = fc.bigInt({ min: 0n, max: 2n ** 62n });
    const check = (offsetNs: bigint, monotonicNs: number): void => {
      const clock = new EpochClock(offsetNs);
      clock.convert(monotonicNs);
      const epochNs = (BigInt(clock.high) << 32n) + BigInt(clock.low);
      assert.equal(epochNs, BigInt.asUintN(64, offsetNs + BigInt(monotonicNs)));
    };
    fc.assert(fc.property(offset, fc.maxSafeNat(), check), { numRuns: 2000 });
    check(0xffffffffn, 1);
    check(0x1_ffff_ffffn, 0xffff_ffff);
  });

  it("can be set again when the clock was stepped", () => {
    const clock = new EpochClock(10n);
    clock.set(2n ** 33n + 5n);
    clock.convert(7);
    assert.deepEqual([clock.low, clock.high], [12, 2]);
  });
});
