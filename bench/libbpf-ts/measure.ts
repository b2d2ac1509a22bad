// SPDX-License-Identifier: Apache-2.0
// One measurement in a process of its own, as JSON: `ring`, `maps`, `load`, `cycles`, `hold`.
import { readdirSync } from "node:fs";

const [mode, path = "", amount = "50000"] = process.argv.slice(2);
const count = Number(amount);

function nanoseconds(): number {
  return performance.now() * 1e6;
}

function best(rounds: number, measure: () => number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    least = Math.min(least, measure());
  }
  return least;
}

const started = nanoseconds();
// As published: compiled JavaScript, where the caller says where that is.
const { openObject }: typeof import("libbpf-ts") = await import(
  process.env["LIBBPF_TS"] ?? "libbpf-ts"
);
const imported = nanoseconds();

function onlyFill(): ReturnType<ReturnType<typeof openObject>["load"]> {
  const object = openObject(path);
  for (const { name } of object.programs) {
    object.program(name).setAutoload(name === "fill");
  }
  return object.load();
}

function measureRing(): unknown {
  using loaded = onlyFill();
  using ring = loaded.ring("records");
  const context = new Uint8Array(BigUint64Array.of(BigInt(count)).buffer);
  const { u32 } = ring;
  let sum = 0;
  const onRecord = (offset: number): void => {
    sum = (sum + (u32[(offset >>> 2) + 2] ?? 0)) | 0;
  };
  const heapBefore = process.memoryUsage().heapUsed;
  const ringNs = best(300, () => {
    loaded.program("fill").run({ context });
    const start = nanoseconds();
    const read = ring.drain(onRecord, Number.MAX_SAFE_INTEGER);
    const spent = nanoseconds() - start;
    if (read !== count) {
      throw new Error(`${read} of ${count} records`);
    }
    return spent / read;
  });
  const heapBytes = process.memoryUsage().heapUsed - heapBefore;
  return { ringNs, heapBytesPerRecord: heapBytes / (300 * count), sum };
}

function measureMaps(): unknown {
  using loaded = onlyFill();
  const map = loaded.map("numbers");
  const key = new Uint8Array(4);
  const key32 = new Uint32Array(key.buffer);
  const value = new Uint8Array(8);
  const rounds = 100_000;
  const setNs = best(5, () => {
    const start = nanoseconds();
    for (let index = 0; index < rounds; index++) {
      key32[0] = index % 1000;
      map.set(key, value);
    }
    return (nanoseconds() - start) / rounds;
  });
  const getNs = best(5, () => {
    const start = nanoseconds();
    for (let index = 0; index < rounds; index++) {
      key32[0] = index % 1000;
      map.get(key, value);
    }
    return (nanoseconds() - start) / rounds;
  });
  const keys = new Uint8Array(Uint32Array.from({ length: rounds }, (_, index) => index).buffer);
  map.setBatch(keys, new Uint8Array(rounds * 8));
  const batchNs = best(10, () => {
    const start = nanoseconds();
    const { count: read } = map.readAll();
    const spent = nanoseconds() - start;
    if (read !== rounds) {
      throw new Error(`${read} of ${rounds} entries`);
    }
    return spent;
  });
  return { getNs, setNs, batchNs };
}

function measureLoad(): unknown {
  using loaded = openObject(path).load();
  const end = nanoseconds();
  return {
    importMs: (imported - started) / 1e6,
    loadMs: (end - imported) / 1e6,
    programs: loaded.programs.length,
  };
}

async function measureCycles(): Promise<unknown> {
  const cycle = async (): Promise<void> => {
    const object = openObject(path);
    for (const { name } of object.programs) {
      object.program(name).setAutoload(name === "program_10");
    }
    object.map("records").setMaxEntries(65_536);
    const loaded = object.load();
    const ring = loaded.ring("records");
    loaded.attach("program_10").detach();
    ring.close();
    loaded.close();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const state = (): { readonly fds: number; readonly rssMib: number } => ({
    fds: readdirSync("/proc/self/fd").length,
    rssMib: process.memoryUsage().rss / 2 ** 20,
  });
  for (let round = 0; round < 300; round++) {
    await cycle();
  }
  const before = state();
  const start = nanoseconds();
  for (let round = 0; round < count; round++) {
    await cycle();
  }
  const cycleMs = (nanoseconds() - start) / 1e6 / count;
  return { cycles: count, cycleMs, before, after: state() };
}

/** Loads and attaches, says so, and waits to be killed. */
async function hold(): Promise<unknown> {
  const object = openObject(path);
  const loaded = object.load();
  loaded.attach("program_10");
  process.stdout.write("held\n");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
  loaded.close();
  return undefined;
}

const MODES: Readonly<Record<string, () => unknown>> = {
  ring: measureRing,
  maps: measureMaps,
  load: measureLoad,
  cycles: measureCycles,
  hold,
};
const result: unknown = await MODES[mode ?? ""]?.();
process.stdout.write(`${JSON.stringify(result)}\n`);
