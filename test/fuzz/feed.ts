// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import v8 from "node:v8";
import vm from "node:vm";
import { type Direction, type Protocol, RECEIVED, SENT } from "../../src/model/protocol.ts";
import { Observed, TEST_OPTIONS, TestRecord } from "../../src/protocols/testing.ts";
import { type Input, InputSource } from "./inputs.ts";

/** Memory that may be kept after all inputs: tables with bounds, pools, compiled code. */
const HEAP_GROWTH_MAX = 24 * 1024 * 1024;
/**
 * No input is longer than some 100 KB: linear time is milliseconds, garbage collection included. CPU
 * time is what counts: the machine may do other things.
 */
const INPUT_MS_MAX = 1000;
/** Inputs that one connection gets after the other before its end, now and then. */
const LONG_INPUTS = 200;
const OPTIONS = {
  ...TEST_OPTIONS,
  urlQuery: true,
  requestHeaders: ["host", "cookie"],
  responseHeaders: ["server"],
};

export interface FuzzResult {
  readonly inputs: number;
  readonly records: number;
  readonly heapGrowthBytes: number;
}

/** Feeds an input to a new connection and ends it. Throws when a rule is broken. */
export function feed(protocol: Protocol, input: Input): Observed {
  const observed = new Observed(protocol, OPTIONS);
  feedRecords(observed, input, [0, 0]);
  end(observed, input.error);
  return observed;
}

function feedRecords(observed: Observed, input: Input, offsets: readonly [number, number]): void {
  input.records.forEach((record, index) => {
    const position = record.position + offsets[record.direction];
    observed.parser.data(new TestRecord({ ...record, position, timeNs: index + 1 }));
  });
}

function end(observed: Observed, error: number): void {
  observed.parser.close(1_000_000, error);
  assert.equal(observed.openCount, 0, "An exchange is open after the connection's end.");
  assert.ok(observed.parser.idle, "The parser is not idle after the connection's end.");
}

/** One connection that lives on through many inputs. */
function feedLong(protocol: Protocol, source: InputSource, seed: number): void {
  const observed = new Observed(protocol, OPTIONS);
  const offsets: [number, number] = [0, 0];
  for (let count = 0; count < LONG_INPUTS; count++) {
    const input = source.create(seed + count);
    feedRecords(observed, input, offsets);
    for (const direction of [RECEIVED, SENT] as const)
      offsets[direction] += endOf(input, direction);
    assert.ok(observed.openCount <= OPTIONS.pipelinedMax, "More is open than the limit allows.");
    observed.ended.length = 0;
    observed.losses.length = 0;
    observed.abandoned.length = 0;
  }
  end(observed, 0);
}

function endOf(input: Input, direction: Direction): number {
  let position = 0;
  for (const record of input.records) {
    if (record.direction === direction) position = record.position + record.bytes.length;
  }
  return Math.min(position, 1e6);
}

export function fuzzProtocol(
  protocol: Protocol,
  seed: number,
  seconds: number,
  onInput: (inputSeed: number) => void,
): FuzzResult {
  const source = new InputSource(protocol);
  const collectGarbage = garbageCollector();
  const endMs = performance.now() + seconds * 1000;
  const warmMs = performance.now() + Math.min(2000, seconds * 200);
  let heapBefore = -1;
  let inputs = 0;
  let records = 0;
  for (let inputSeed = seed; performance.now() < endMs; inputSeed++) {
    onInput(inputSeed);
    const startMs = performance.now();
    if (inputs % 5000 === 4999) feedLong(protocol, source, inputSeed);
    else {
      const input = source.create(inputSeed);
      records += input.records.length;
      feed(protocol, input);
      const tookMs = performance.now() - startMs;
      if (tookMs >= INPUT_MS_MAX) assertQuick(protocol, input);
    }
    inputs++;
    if (heapBefore < 0 && performance.now() > warmMs) heapBefore = collectGarbage();
  }
  const heapGrowthBytes = heapBefore < 0 ? 0 : collectGarbage() - heapBefore;
  assert.ok(heapGrowthBytes < HEAP_GROWTH_MAX, `Memory grew by ${heapGrowthBytes} bytes.`);
  return { inputs, records, heapGrowthBytes };
}

/** Again, by the clock that stands still while others run. */
function assertQuick(protocol: Protocol, input: Input): void {
  const before = process.threadCpuUsage();
  feed(protocol, input);
  const { user, system } = process.threadCpuUsage(before);
  const cpuMs = (user + system) / 1000;
  assert.ok(cpuMs < INPUT_MS_MAX, `The input took ${cpuMs.toFixed(0)} ms of CPU.`);
}

/** Collects and returns the bytes that are left. */
function garbageCollector(): () => number {
  v8.setFlagsFromString("--expose-gc");
  const collect: unknown = vm.runInNewContext("gc");
  return () => {
    if (typeof collect === "function") collect();
    return process.memoryUsage().heapUsed;
  };
}
