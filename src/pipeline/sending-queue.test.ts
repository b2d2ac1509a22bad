// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventually } from "../../test/support/eventually.ts";
import type { Batch } from "../model/batch.ts";
import { type QueueLimits, SendingQueue } from "./sending-queue.ts";
import { batchOf, sleepMs } from "./test-support.ts";

const LIMITS: QueueLimits = {
  sizer: "items",
  sizeMax: 8,
  bytesMax: 1_000,
  concurrency: 1,
  blocking: true,
};

/** A queue whose sends end only when told to. */
function heldQueue(limits: QueueLimits): {
  readonly queue: SendingQueue;
  readonly sent: Batch[];
  readonly groups: number[][];
  readonly flags: boolean[];
  release(): Promise<void>;
} {
  const sent: Batch[] = [];
  const groups: number[][] = [];
  const open: (() => void)[] = [];
  const queue = new SendingQueue(limits, (group) => {
    sent.push(...group);
    groups.push(group.map((batch) => batch.items));
    return new Promise((resolve) => open.push(() => resolve("ended")));
  });
  const flags: boolean[] = [];
  queue.ready.subscribe((flag) => flags.push(flag));
  const release = async (): Promise<void> => {
    open.shift()?.();
    await sleepMs(0);
  };
  return { queue, sent, groups, flags, release };
}

test("what is being sent still counts, and a full queue refuses", async () => {
  const { queue, release } = heldQueue(LIMITS);
  assert.equal(queue.offer(batchOf(5)), "accepted");
  assert.equal(queue.offer(batchOf(3)), "accepted");
  assert.equal(queue.offer(batchOf(1)), "full");
  assert.equal(queue.size, 8);
  await release();
  assert.equal(queue.size, 3);
  assert.equal(queue.offer(batchOf(5)), "accepted");
});

test("a batch larger than the queue is refused as too large", () => {
  const { queue } = heldQueue(LIMITS);
  assert.equal(queue.offer(batchOf(9)), "too_large");
  assert.equal(queue.offer(batchOf(1, 1_001)), "too_large");
});

test("the bytes are bounded whatever the sizer counts", () => {
  const { queue } = heldQueue({ ...LIMITS, sizer: "requests", sizeMax: 1_000 });
  assert.equal(queue.offer(batchOf(1, 600)), "accepted");
  assert.equal(queue.offer(batchOf(1, 600)), "full");
  assert.equal(queue.bytes, 600);
});

test("a blocking queue closes its valve at three quarters and opens it at half", async () => {
  const { queue, flags, release } = heldQueue(LIMITS);
  for (const items of [3, 2]) queue.offer(batchOf(items));
  assert.deepEqual(flags, [true]);
  queue.offer(batchOf(1));
  assert.deepEqual(flags, [true, false]);
  await release();
  assert.equal(queue.size, 3);
  assert.deepEqual(flags, [true, false, true]);
});

test("a queue that does not block never closes its valve", () => {
  const { queue, flags } = heldQueue({ ...LIMITS, blocking: false });
  queue.offer(batchOf(8));
  assert.equal(queue.offer(batchOf(1)), "full");
  assert.deepEqual(flags, [true]);
});

test("batches are sent in order, at most `concurrency` at the same time", async () => {
  const { queue, sent, release } = heldQueue({ ...LIMITS, concurrency: 2 });
  for (const items of [1, 2, 3]) queue.offer(batchOf(items));
  assert.deepEqual(
    sent.map((batch) => batch.items),
    [1, 2],
  );
  await release();
  assert.deepEqual(
    sent.map((batch) => batch.items),
    [1, 2, 3],
  );
});

const GROUPED: QueueLimits = {
  ...LIMITS,
  sizeMax: 100,
  concurrency: 10,
  grouping: { sizer: "items", sizeMin: 10, sizeMax: 15, timeoutMs: 30 },
};

test("a grouping queue sends together what makes the least size, and no more than the largest", () => {
  const { queue, groups } = heldQueue(GROUPED);
  for (const items of [4, 4]) queue.offer(batchOf(items));
  assert.deepEqual(groups, []);
  for (const items of [4, 20, 1]) queue.offer(batchOf(items));
  assert.deepEqual(groups, [[4, 4, 4], [20]]);
  queue.offer(batchOf(8));
  queue.offer(batchOf(7));
  assert.deepEqual(groups.slice(2), [[1, 8]], "7 more would be too many");
  queue.close();
  assert.deepEqual(groups.slice(3), [[7]], "what waits goes when nothing more can come");
  queue.discard();
});

test("a grouping queue sends what is less than the least size after its time", async () => {
  const { queue, groups } = heldQueue(GROUPED);
  queue.offer(batchOf(3));
  queue.offer(batchOf(2));
  assert.deepEqual(groups, []);
  await eventually(
    async () => groups.length,
    (count) => count > 0,
  );
  assert.deepEqual(groups, [[3, 2]]);
});

test("drained resolves when the last send has ended, discard gives back what waits", async () => {
  const { queue, release } = heldQueue(LIMITS);
  for (const items of [1, 2, 3]) queue.offer(batchOf(items));
  queue.close();
  assert.equal(queue.offer(batchOf(1)), "closed");
  assert.deepEqual(
    queue.discard().map((batch) => batch.items),
    [2, 3],
  );
  let isDrained = false;
  const drained = queue.drained().then(() => {
    isDrained = true;
  });
  await sleepMs(0);
  assert.equal(isDrained, false);
  await release();
  await drained;
  assert.equal(queue.size, 0);
  assert.equal(queue.bytes, 0);
});

test("whatever is offered and sent, nothing is lost and the bounds hold", async () => {
  const step = fc.oneof(
    fc.record({ items: fc.integer({ min: 1, max: 10 }), bytes: fc.integer({ min: 1, max: 700 }) }),
    fc.constant("release" as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { queue, sent, release } = heldQueue({ ...LIMITS, concurrency: 3 });
      let accepted = 0;
      for (const action of steps) {
        if (action === "release") await release();
        else if (queue.offer(batchOf(action.items, action.bytes)) === "accepted") accepted++;
        assert.ok(queue.size <= LIMITS.sizeMax && queue.bytes <= LIMITS.bytesMax);
        assert.ok(queue.sending <= 3);
      }
      for (let left = accepted; left > 0; left--) await release();
      assert.equal(sent.length, accepted);
      assert.equal(queue.size, 0);
    }),
    { numRuns: 50 },
  );
});
