// SPDX-License-Identifier: Apache-2.0
/**
 * Fuzzes all registered protocols: `npm run fuzz -- --seconds 60 [--seed N] [--protocol NAME]`; what was
 * done is told at the end, and with `--out FILE` written there as JSON.
 * Fails on a throw, on an input that takes too long, on an exchange that stays open after the
 * connection's end, and on memory that grows. The failing input is saved and can be replayed with
 * `npm run fuzz -- --replay FILE`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { z } from "zod";
import { PROTOCOLS } from "../../src/protocols/registry.ts";
import { feed, fuzzProtocol } from "./feed.ts";
import { InputSource } from "./inputs.ts";

/** A machine that is busy with other things may stop a thread for seconds. */
const HANG_MS = 60_000;
const CHECK_MS = 500;

const workSchema = z.object({
  protocol: z.string(),
  seed: z.number(),
  seconds: z.number(),
  progress: z.instanceof(SharedArrayBuffer),
});
const resultSchema = z.object({
  inputs: z.number(),
  records: z.number(),
  heapGrowthBytes: z.number(),
});
type Result = z.infer<typeof resultSchema>;

interface Failure {
  readonly protocol: string;
  readonly inputSeed: number;
  readonly reason: string;
}

function protocolNamed(name: string): (typeof PROTOCOLS)[number] {
  const protocol = PROTOCOLS.find((candidate) => candidate.name === name);
  if (protocol === undefined) {
    const known = PROTOCOLS.map((candidate) => candidate.name).join(", ");
    throw new Error(`There is no protocol ${name}; registered: ${known}.`);
  }
  return protocol;
}

function save(failure: Failure): string {
  const folder = new URL("../../build/fuzz/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const input = new InputSource(protocolNamed(failure.protocol)).create(failure.inputSeed);
  const records = input.records.map((record) => ({
    ...record,
    bytes: Buffer.from(record.bytes).toString("base64"),
  }));
  const file = new URL(`${failure.protocol}-${failure.inputSeed}.json`, folder);
  writeFileSync(file, JSON.stringify({ ...failure, error: input.error, records }, undefined, 1));
  return file.pathname;
}

const replaySchema = z.object({
  protocol: z.string(),
  error: z.number(),
  records: z.array(
    z.object({
      direction: z.union([z.literal(0), z.literal(1)]),
      position: z.number(),
      bytes: z.string(),
      captured: z.number(),
    }),
  ),
});

function replay(file: string): void {
  const saved = replaySchema.parse(JSON.parse(readFileSync(file, "utf8")));
  const records = saved.records.map((record) => ({
    ...record,
    bytes: Buffer.from(record.bytes, "base64"),
  }));
  const observed = feed(protocolNamed(saved.protocol), { records, error: saved.error });
  console.log(JSON.stringify({ ended: observed.ended, losses: observed.losses }, undefined, 1));
}

/** Runs one protocol in a worker, so that a hang can be noticed. */
function runWorker(protocol: string, seed: number, seconds: number): Promise<Result | Failure> {
  const progress = new SharedArrayBuffer(8);
  const current = new Float64Array(progress);
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { protocol, seed, seconds, progress },
  });
  return new Promise((resolve) => {
    let last = -1;
    let since = Date.now();
    const watch = setInterval(() => {
      const inputSeed = current[0] ?? 0;
      if (inputSeed !== last) since = Date.now();
      else if (Date.now() - since > HANG_MS) finish({ protocol, inputSeed, reason: "hang" });
      last = inputSeed;
    }, CHECK_MS);
    const finish = (result: Result | Failure): void => {
      clearInterval(watch);
      resolve(result);
      void worker.terminate();
    };
    worker.on("message", (message: unknown) => finish(resultSchema.parse(message)));
    worker.on("error", (error: unknown) => {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      finish({ protocol, inputSeed: current[0] ?? 0, reason });
    });
  });
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "10" },
      seed: { type: "string" },
      protocol: { type: "string" },
      replay: { type: "string" },
      out: { type: "string" },
    },
  });
  if (values.replay !== undefined) {
    replay(values.replay);
    return 0;
  }
  const seconds = Number(values.seconds);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
  if (!(seconds > 0) || !Number.isSafeInteger(seed)) {
    console.error("--seconds must be a number above 0 and --seed an integer.");
    return 1;
  }
  const names =
    values.protocol === undefined ? PROTOCOLS.map(({ name }) => name) : [values.protocol];
  console.log(`seed ${seed}`);
  const startMs = performance.now();
  let failures = 0;
  const done: { readonly protocol: string; readonly inputs: number; readonly records: number }[] =
    [];
  for (const name of names) {
    protocolNamed(name);
    const result = await runWorker(name, seed, seconds / names.length);
    if ("reason" in result) {
      console.error(`${name}: input ${result.inputSeed} fails: ${result.reason}`);
      console.error(`Saved as ${save(result)}; replay it with --replay FILE.`);
      failures++;
      continue;
    }
    const { inputs, records } = result;
    done.push({ protocol: name, inputs, records });
    const growth = (result.heapGrowthBytes / 1024).toFixed(0);
    console.log(`${name}: ${inputs} inputs, ${records} records, heap ${growth} KiB`);
  }
  const tookSeconds = Math.round((performance.now() - startMs) / 1000);
  const inputs = done.reduce((sum, result) => sum + result.inputs, 0);
  const { user, system } = process.cpuUsage();
  const cpuSeconds = Math.round((user + system) / 1e6);
  const rate = Math.round(inputs / Math.max(1, cpuSeconds));
  console.log(
    `${inputs} inputs in ${tookSeconds} s, ${cpuSeconds} of CPU (${rate}/s of CPU), ${failures} failures`,
  );
  if (values.out !== undefined) {
    const report = { seed, seconds: tookSeconds, cpuSeconds, inputs, failures, protocols: done };
    writeFileSync(values.out, `${JSON.stringify(report, undefined, 2)}\n`);
  }
  return failures === 0 ? 0 : 1;
}

if (isMainThread) process.exitCode = await main();
else {
  const work = workSchema.parse(workerData);
  const current = new Float64Array(work.progress);
  const result = fuzzProtocol(
    protocolNamed(work.protocol),
    work.seed,
    work.seconds,
    (inputSeed) => {
      current[0] = inputSeed;
    },
  );
  parentPort?.postMessage(result);
}
