// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PartitionProgress } from "./progress.ts";

test("what is told to the broker is the first record that is not done", () => {
  const progress = new PartitionProgress();
  assert.equal(progress.next, undefined);
  for (const offset of [10n, 11n, 15n]) assert.ok(progress.begin(offset));
  assert.equal(progress.next, undefined);
  progress.end(11n);
  assert.equal(progress.next, undefined);
  progress.end(10n);
  assert.equal(progress.next, 15n);
  assert.equal(progress.next, 15n, "not told yet");
  progress.told(15n);
  assert.equal(progress.next, undefined);
  progress.end(15n);
  assert.equal(progress.next, 16n);
});

test("a record that is read again is not begun again", () => {
  const progress = new PartitionProgress();
  assert.ok(progress.begin(3n));
  assert.ok(!progress.begin(3n));
  assert.ok(progress.begin(4n));
  progress.end(3n);
  assert.equal(progress.next, 4n);
});

test("no record that is open is ever told as read, in whatever order records are done", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([...Array(20).keys()]), (done) => {
      const progress = new PartitionProgress();
      const open = new Set<number>();
      for (let offset = 0; offset < 20; offset++) {
        progress.begin(BigInt(offset));
        open.add(offset);
      }
      for (const offset of done) {
        progress.end(BigInt(offset));
        open.delete(offset);
        const least = Math.min(20, ...open);
        assert.equal(progress.next, least === 0 ? undefined : BigInt(least));
      }
    }),
  );
});
