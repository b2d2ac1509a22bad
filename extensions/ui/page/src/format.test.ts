// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatBytes,
  formatCount,
  formatNs,
  formatRate,
  formatShare,
  formatTime,
  plural,
  shown,
} from "./format.ts";

test("durations have three digits and the unit that fits", () => {
  assert.equal(formatNs(0), "0");
  assert.equal(formatNs(999), "999 ns");
  assert.equal(formatNs(114_000), "114 µs");
  assert.equal(formatNs(5_600_000), "5.60 ms");
  assert.equal(formatNs(54_000_000), "54.0 ms");
  assert.equal(formatNs(1_500_000_000), "1.50 s");
  assert.equal(formatNs(600e9), "10.0 min");
  assert.equal(formatNs(-5_600_000), "−5.60 ms");
  assert.equal(formatNs(Number.NaN), "–");
});

test("counts, rates, shares and bytes are short, and little is not nothing", () => {
  assert.deepEqual([950, 12_300, 4_560_000].map(formatCount), ["950", "12.3k", "4.56M"]);
  assert.deepEqual([0, 0.001, 2, 1_500].map(formatRate), ["0/s", "<0.01/s", "2/s", "1.50k/s"]);
  assert.deepEqual([0, 1e-6, 0.0123, 1].map(formatShare), ["0 %", "<0.01 %", "1.23 %", "100 %"]);
  assert.deepEqual([0, 1_023, 1_536, 5 << 20].map(formatBytes), [
    "0 B",
    "1023 B",
    "1.50 KiB",
    "5.00 MiB",
  ]);
  assert.equal(plural(1, "span", "spans"), "1 span");
  assert.equal(plural(0, "span", "spans"), "0 spans");
});

test("a time of another day says which, and an impossible one says nothing", () => {
  const noon = new Date(2026, 0, 2, 12, 0, 0, 7).getTime();
  assert.equal(formatTime(noon, noon + 60_000), "12:00:00.007");
  assert.equal(formatTime(noon, noon + 86_400_000), "2026-01-02 12:00:00.007");
  assert.equal(formatTime(1e18, noon), "–");
});

test("what is shown of a text is bounded and cannot turn or hide what stands beside it", () => {
  assert.equal(shown("plain <b>text</b>\n"), "plain <b>text</b>\n");
  assert.equal(shown("a\u0000b\u202ec\u001b"), "a�b�c�");
  assert.equal(shown("x".repeat(5_000), 10), `${"x".repeat(10)}… (4.99k characters more)`);
});
