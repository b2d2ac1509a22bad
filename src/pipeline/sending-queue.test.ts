// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
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
  readonly flags: boolean[];
  release(): Promise<void>;
} {
  const sent: Batch[] = [];
  const open: (() => void)[] = [];
  const queue = new SendingQueue(limits, (batch) => {
    sent.push(batch);
    return new Promise((resolve) => open.push(resolve));
  });
  const flags: boolean[] = [];
  queue.ready.subscribe((flag) => flags.push(flag));
  const release = async (): Promise<void> => {
    open.shift()?.();
    await sleepMs(0);
  };
  return { queue, sent, flags, release };
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
