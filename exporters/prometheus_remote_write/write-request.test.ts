// SPDX-License-Identifier: Apache-2.0
// Field numbers: prompb/types.proto and remote.proto of Prometheus.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FieldReader } from "../../src/pdata/wire.ts";
import type { ExponentialPoint } from "../../src/prometheus/otlp-metrics.ts";
import type { TimeSeries } from "./series.ts";
import { writeRequests } from "./write-request.ts";

/** Field number and payload of each field. */
function fields(bytes: Uint8Array): (readonly [number, Uint8Array])[] {
  const reader = new FieldReader().reset(bytes, 0, bytes.length);
  const found: (readonly [number, Uint8Array])[] = [];
  while (reader.next()) found.push([reader.field, bytes.slice(reader.start, reader.stop)]);
  assert.equal(reader.errorAt, -1);
  return found;
}

function only(bytes: Uint8Array, field: number): Uint8Array {
  const found = fields(bytes).filter(([number]) => number === field);
  assert.equal(found.length, 1);
  return found[0]?.[1] ?? new Uint8Array(0);
}

const sample = (name: string, value: number | undefined): TimeSeries => ({
  labels: new Map([["__name__", name]]),
  ...{ timeMs: 1_700_000_000_123, value, exemplars: [] },
});

test("a sample has its value and its time in milliseconds", () => {
  const [request = new Uint8Array(0)] = writeRequests([sample("a", 1.5)], [], 1e6);
  const written = only(only(request, 1), 2);
  const view = new DataView(written.buffer, written.byteOffset);
  assert.equal(view.getFloat64(1, true), 1.5);
  const reader = new FieldReader().reset(written, 0, written.length);
  while (reader.next());
  assert.equal(reader.high * 2 ** 32 + reader.low, 1_700_000_000_123);
});

test("a series that has ended is the NaN that means it", () => {
  const [request = new Uint8Array(0)] = writeRequests([sample("a", undefined)], [], 1e6);
  const value = only(only(only(request, 1), 2), 1);
  assert.equal(Buffer.from(value).readBigUInt64LE(), 0x7ff0000000000002n);
});

test("requests are cut between series; a series that is too large goes alone", () => {
  const series = ["a", "b".repeat(300), "c", "d"].map((name) => sample(name, 1));
  const requests = writeRequests(series, [], 100);
  assert.deepEqual(
    requests.map((request) => fields(request).length),
    [1, 1, 2],
  );
});

test("a finer histogram than Prometheus has is joined to scale 8", () => {
  const point: ExponentialPoint = {
    ...{ attributes: new Map(), startNs: 0n, timeNs: 0n, isStale: false, exemplars: [] },
    ...{ count: 10, sum: 3, scale: 9, zeroCount: 0, zeroThreshold: 0 },
    // Pairs -4 and -3, -2 and -1, 0 and 1 are one bucket each at scale 8.
    positive: { offset: -3, counts: [1, 2, 3, 4] },
    negative: { offset: 0, counts: [] },
  };
  const series = { labels: new Map(), timeMs: 5, histogram: point, exemplars: [] };
  const [request = new Uint8Array(0)] = writeRequests([series], [], 1e6);
  const histogram = only(only(request, 1), 4);
  const ZIGZAG_8 = 16;
  assert.deepEqual([...only(histogram, 4)], [ZIGZAG_8]);
  // Offset -2 + 1 in zigzag, three buckets: 1, 2 + 3, 4 as differences 1, 4, -1.
  assert.deepEqual([...only(histogram, 11)], [0x08, 1, 0x10, 3]);
  assert.deepEqual([...only(histogram, 12)], [2, 8, 1]);
});
