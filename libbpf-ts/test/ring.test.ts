// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";

import { BpfError, RingReader, startPump } from "../src/index.ts";
import {
  buildObjects,
  kernelTest,
  loadRing,
  nextTurn,
  openFdCount,
  openRingObject,
  provoke,
  until,
} from "./support.ts";

buildObjects();

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** The words of `emit` in ring.bpf.c. */
const RECORD_BYTES = 256;

function fails(code: string): (error: unknown) => boolean {
  return (error) => error instanceof BpfError && error.code === code;
}

kernelTest("100,000 records of two sizes, some discarded, arrive once, whole and in order", () => {
  const knobs = { records_per_call: 50, vary_length: true, discard_every: 7 };
  const object = openRingObject(knobs);
  object.map("events").setMaxEntries(64 * 1024);
  using loaded = object.load();
  using ring = loaded.ring("events");
  using bss = loaded.mapGlobal(".bss");
  loaded.attach("on_call");
  let expected = 0;
  let read = 0;
  let wraps = 0;
  let previousOffset = 0;
  const onRecord = (offset: number, length: number): void => {
    const number = ring.u32[offset >>> 2] ?? -1;
    // Long records, at even places of a call, are discarded when their number divides by 7.
    while (expected % 2 === 0 && expected % 7 === 0 && expected !== number) {
      expected++;
    }
    assert.equal(number, expected);
    assert.equal(length, number % 2 === 0 ? RECORD_BYTES : 13);
    if (length === RECORD_BYTES) {
      assert.equal(ring.view.getUint32(offset + RECORD_BYTES - 4, true), ~number >>> 0);
    }
    wraps += offset < previousOffset ? 1 : 0;
    previousOffset = offset;
    expected++;
    read++;
  };
  while (read < 100_000) {
    provoke(4);
    ring.drain(onRecord, 1_000);
  }
  assert.equal(bss.get("refused"), 0n);
  assert.equal(read + ring.discardedCount, bss.get("sequence"));
  assert.ok(ring.discardedCount > 7_000);
  assert.ok(wraps > 100);
  assert.equal(ring.pendingBytes(), 0);
});

kernelTest("a drain stops after recordsMax and the next one goes on from there", () => {
  using loaded = loadRing({ records_per_call: 10 });
  using ring = loaded.ring("events");
  loaded.attach("on_call");
  provoke(1);
  const numbers: number[] = [];
  const onRecord = (offset: number): void => {
    numbers.push(ring.u32[offset >>> 2] ?? -1);
  };
  assert.equal(ring.drain(onRecord, 4), 4);
  assert.equal(ring.pendingBytes(), 6 * (RECORD_BYTES + 8));
  assert.equal(ring.drain(onRecord, 0), 0);
  assert.equal(ring.drain(onRecord, 100), 6);
  assert.equal(ring.drain(onRecord, 100), 0);
  assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

kernelTest("below the fill level nobody is woken up; at it the reader is", async () => {
  const level = 10 * (RECORD_BYTES + 8);
  using loaded = loadRing({ wake_bytes: level });
  using ring = loaded.ring("events");
  loaded.attach("on_call");
  const pending: number[] = [];
  let drained = 0;
  const waiting = ring.onWakeUp(() => {
    pending.push(ring.pendingBytes());
    drained += ring.drain(() => {}, 1_000);
  });
  for (let round = 1; round <= 3; round++) {
    provoke(9);
    await sleep(40);
    assert.equal(pending.length, round - 1, "nine records lie there in silence");
    provoke(1);
    await until(() => pending.length === round);
    assert.equal(drained, 10 * round);
  }
  assert.deepEqual(pending, [level, level, level]);
  waiting[Symbol.dispose]();
  waiting[Symbol.dispose]();
  provoke(20);
  await sleep(40);
  assert.equal(pending.length, 3);
});

kernelTest("a pump with wake-ups drains at the fill level, long before its timer", async () => {
  using loaded = loadRing({ wake_bytes: 4 * (RECORD_BYTES + 8) });
  using ring = loaded.ring("events");
  loaded.attach("on_call");
  let count = 0;
  using pump = startPump(ring, { onRecord: () => count++, intervalMs: 60_000, wakeUps: true });
  await sleep(20);
  provoke(3);
  await sleep(40);
  assert.equal(count, 0);
  provoke(1);
  await until(() => count === 4);
  pump.stop();
  provoke(8);
  await sleep(40);
  assert.equal(count, 4);
});

kernelTest(
  "waiting leaves no descriptor and no thread, and calls nobody after its end",
  async () => {
    const threads = (): number => readdirSync("/proc/self/task").length;
    using loaded = loadRing({ wake_bytes: 1 });
    loaded.attach("on_call");
    // The object keeps the map, once it was asked for.
    loaded.map("events");
    const before = { fds: openFdCount(), threads: threads() };
    for (let round = 0; round < 50; round++) {
      using ring = loaded.ring("events");
      using _waiting = ring.onWakeUp(() => assert.fail("it has ended"));
      provoke(1);
      // No turn of the event loop: what the thread has sent meanwhile comes after the end.
    }
    await sleep(20);
    assert.deepEqual({ fds: openFdCount(), threads: threads() }, before);
  },
);

kernelTest("a waiting reader that is never closed lets the process and a worker end", async () => {
  const script = `
    import { loadRing } from ${JSON.stringify(new URL("support.ts", import.meta.url).href)};
    const ring = loadRing().ring("events");
    ring.onWakeUp(() => {});
    console.log("waits");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const worker = new Worker(
    `import("data:text/javascript," + ${JSON.stringify(encodeURIComponent(script))})`,
    {
      eval: true,
      stdout: true,
    },
  );
  const ends = [once(child, "exit"), once(worker, "exit")];
  assert.deepEqual(await Promise.all(ends), [[0, null], [0]]);
});

kernelTest("a full ring refuses new records, and takes them again when it was drained", () => {
  const object = openRingObject({ records_per_call: 20 });
  object.map("events").setMaxEntries(4096);
  using loaded = object.load();
  using ring = loaded.ring("events");
  using bss = loaded.mapGlobal(".bss");
  loaded.attach("on_call");
  provoke(1);
  const held = Math.floor(4096 / (RECORD_BYTES + 8));
  assert.equal(bss.get("refused"), BigInt(20 - held));
  assert.equal(
    ring.drain(() => {}, 100),
    held,
  );
  provoke(1);
  assert.equal(
    ring.drain(() => {}, 100),
    held,
  );
});

kernelTest("a callback that throws loses its own record and no other", () => {
  using loaded = loadRing({ records_per_call: 3 });
  using ring = loaded.ring("events");
  loaded.attach("on_call");
  provoke(1);
  const numbers: number[] = [];
  const throwsAtOne = (offset: number): void => {
    const number = ring.u32[offset >>> 2] ?? -1;
    if (number === 1) {
      throw new RangeError("mine");
    }
    numbers.push(number);
  };
  assert.throws(() => ring.drain(throwsAtOne, 10), RangeError);
  assert.equal(ring.drain(throwsAtOne, 10), 1);
  assert.deepEqual(numbers, [0, 2]);
});

kernelTest("neither a drain nor a close is allowed inside a drain", () => {
  using loaded = loadRing();
  using ring = loaded.ring("events");
  loaded.attach("on_call");
  provoke(2);
  const nested = (): void => {
    ring.drain(() => {}, 1);
  };
  assert.throws(() => ring.drain(nested, 1), fails("ARGUMENT"));
  assert.throws(() => ring.drain(() => ring.close(), 1), fails("ARGUMENT"));
  assert.throws(() => RingReader.open(loaded.map("numbers")), fails("ARGUMENT"));
});

kernelTest(
  "a view keeps the mapping alive when object, reader and buffer are forgotten",
  async () => {
    const openView = (): Uint32Array => {
      const loaded = loadRing({ records_per_call: 1 });
      const ring = loaded.ring("events");
      const link = loaded.attach("on_call");
      provoke(8);
      link.detach();
      loaded.close();
      return ring.u32.subarray(0, 1024);
    };
    const view = openView();
    for (let round = 0; round < 5; round++) {
      collectGarbage();
      await nextTurn();
    }
    assert.equal(view[2], 0);
    assert.equal(view[2 + (RECORD_BYTES + 8) / 4], 1);
  },
);

kernelTest("a closed reader leaves its views empty, and the map goes on", () => {
  using loaded = loadRing({ records_per_call: 2 });
  const first = loaded.ring("events");
  const { u32, view } = first;
  loaded.attach("on_call");
  provoke(1);
  assert.equal(
    first.drain(() => {}, 1),
    1,
  );
  first.close();
  assert.equal(u32.length, 0);
  assert.throws(() => view.getUint8(0), TypeError);
  using second = loaded.ring("events");
  const numbers: number[] = [];
  second.drain((offset) => numbers.push(second.u32[offset >>> 2] ?? -1), 10);
  assert.deepEqual(numbers, [1], "the position is the kernel's, not the reader's");
});

kernelTest("draining allocates nothing for a record", () => {
  using loaded = loadRing({ records_per_call: 50 });
  using ring = loaded.ring("events");
  loaded.attach("on_call");
  // Kept small: a number past 31 bits in a closure would itself be an allocation.
  let parity = 0;
  const onRecord = (offset: number): void => {
    parity ^= (ring.u32[offset >>> 2] ?? 0) & 1;
  };
  for (let round = 0; round < 200; round++) {
    provoke(18);
    ring.drain(onRecord, 10_000);
  }
  provoke(18);
  const before = process.memoryUsage().heapUsed;
  const records = ring.drain(onRecord, 10_000);
  const growth = process.memoryUsage().heapUsed - before;
  assert.equal(records, 900);
  assert.equal(parity, 0);
  assert.ok(growth < 8_000, `${growth} bytes for ${records} records`);
});
