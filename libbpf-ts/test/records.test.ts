// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { onlineCpus } from "../src/attach.ts";
import { BpfError, openObject, startPump } from "../src/index.ts";
import { events, maps, recordTypeAt, setRodata } from "./generated/maps.ts";
import { buildObjects, GETPPID, kernelTest, objectPath, provoke, until } from "./support.ts";

buildObjects();

function load(sampleBytes = 24): ReturnType<ReturnType<typeof openObject>["load"]> {
  const object = openObject(objectPath("maps"));
  setRodata(object, {
    target_pid: process.pid,
    target_syscall: BigInt(GETPPID),
    sample_bytes: sampleBytes,
  });
  object.program("emit").setAutoload(true);
  return object.load();
}

kernelTest("generated decoders read the records of a ring as objects", async () => {
  using loaded = load();
  using ring = loaded.ring("records");
  loaded.attach("emit");
  provoke(3);
  let count = 0;
  for await (const record of ring.records(events.records)) {
    assert.equal(record.pid, process.pid);
    assert.ok(record.time_ns > 0n);
    assert.ok(record.comm.length > 0);
    if (++count === 3) {
      break;
    }
  }
});

kernelTest("generated field readers read in place, and typed maps have generated types", () => {
  using loaded = load();
  using ring = loaded.ring("records");
  loaded.attach("emit");
  provoke(5);
  const pids: number[] = [];
  ring.drain((offset) => pids.push(recordTypeAt.pid(ring.view, offset)), 100);
  assert.deepEqual(
    pids,
    Array.from({ length: 5 }, () => process.pid),
  );
  maps.array(loaded).set(1, { x: 4, y: 5 });
  assert.equal(maps.array(loaded).get(1)?.y, 5);
});

kernelTest("an aborted signal ends the iteration without an error", async () => {
  using loaded = load();
  using ring = loaded.ring("records");
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 30);
  for await (const _record of ring.records(events.records, { signal: abort.signal })) {
    assert.fail("nothing was sent");
  }
});

kernelTest("a pump drains on a timer until it is stopped", async () => {
  using loaded = load();
  using ring = loaded.ring("records");
  loaded.attach("emit");
  let count = 0;
  const pump = startPump(ring, { onRecord: () => count++, intervalMs: 2, recordsMax: 3 });
  provoke(10);
  const end = performance.now() + 5_000;
  while (count < 10 && performance.now() < end) {
    await sleep(5);
  }
  assert.equal(count, 10);
  pump.stop();
  provoke(1);
  await sleep(20);
  assert.equal(count, 10);
});

kernelTest("a pump stops at an error of its callback and hands it on", async () => {
  using loaded = load();
  using ring = loaded.ring("records");
  loaded.attach("emit");
  provoke(1);
  const error = await new Promise((resolve) => {
    startPump(ring, {
      onRecord: () => {
        throw new Error("on purpose");
      },
      onError: resolve,
    });
  });
  assert.match(String(error), /on purpose/);
});

kernelTest("a perf buffer has the face of a ring: records whole, in order, across wraps", () => {
  using loaded = load(52);
  using perf = loaded.perf("samples", { bytesPerCpu: 4096 });
  loaded.attach("emit");
  let seen = 0;
  for (let round = 0; round < 100; round++) {
    provoke(5);
    seen += perf.drain((offset, length) => {
      assert.equal(perf.view.getUint32(offset, true), process.pid);
      assert.equal(perf.u32[offset / 4 + 1], 52);
      assert.ok(length >= 52 && length < 60);
    }, 1000);
  }
  assert.equal(seen, 500);
  assert.equal(perf.lostCount, 0);
  assert.equal(perf.pendingBytes(), 0);
});

kernelTest("a perf buffer wakes its reader up each so many bytes of a CPU", async () => {
  using loaded = load(52);
  const recordBytes = 64;
  const wakeUpBytes = 16 * recordBytes;
  using perf = loaded.perf("samples", { bytesPerCpu: 8192, wakeUpBytes });
  loaded.attach("emit");
  let calls = 0;
  using _waiting = perf.onWakeUp(() => calls++);
  provoke(10);
  await sleep(40);
  assert.equal(calls, 0);
  // Wherever this thread runs meanwhile, one CPU gets its sixteen.
  provoke(16 * onlineCpus().length);
  await until(() => calls > 0);
  const count = perf.drain(() => {}, 1_000);
  assert.equal(count, 10 + 16 * onlineCpus().length);
});

kernelTest("a perf buffer that is not drained counts what was lost", () => {
  using loaded = load(60);
  using perf = loaded.perf("samples", { bytesPerCpu: 4096 });
  loaded.attach("emit");
  provoke(400);
  const read = perf.drain(() => {}, 10_000);
  provoke(20);
  const after = perf.drain(() => {}, 10_000);
  assert.ok(read < 400);
  assert.ok(perf.lostCount > 0, "the next record says how many are missing");
  assert.ok(read + after + perf.lostCount >= 400);
  perf.close();
  perf.close();
  assert.throws(
    () => perf.drain(() => {}, 1),
    (error) => error instanceof BpfError && error.code === "CLOSED",
  );
  assert.throws(() => loaded.perf("hash"), BpfError);
});
