// SPDX-License-Identifier: Apache-2.0
// prompb.WriteRequest of "Prometheus Remote-Write 1.0" (prometheus.io/docs/specs).
import { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import type { ExponentialBuckets, ExponentialPoint } from "../../src/prometheus/otlp-metrics.ts";
import type { Metadata, SentExemplar, TimeSeries } from "./series.ts";

/** Bits of the NaN that means that a series has ended; any other NaN is a value. */
const STALE_LOW = 2;
const STALE_HIGH = 0x7ff00000;
/** The finest resolution of native histograms. */
const SCHEMA_MAX = 8;
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

const tag = (field: number, wireType: number): number => (field << 3) | wireType;

/** Requests of at most `bytesMax` bytes each, unless one series alone is larger. */
export function writeRequests(
  series: readonly TimeSeries[],
  metadata: readonly Metadata[],
  bytesMax: number,
): Uint8Array[] {
  const requests: Uint8Array[] = [];
  const out = new ProtoWriter(1 << 16);
  const put = (write: () => void): void => {
    const before = out.length;
    write();
    if (out.length <= bytesMax || before === 0) return;
    const rest = out.bytes.slice(before, out.length);
    out.length = before;
    requests.push(out.take());
    out.reset();
    out.reserve(rest.length);
    out.copyAll(rest);
  };
  for (const one of series) put(() => writeSeries(out, one));
  for (const one of metadata) put(() => writeMetadata(out, one));
  if (out.length > 0) requests.push(out.take());
  return requests;
}

function writeSeries(out: ProtoWriter, series: TimeSeries): void {
  const start = out.beginMessage(tag(1, BYTES));
  writeLabels(out, series.labels);
  if (series.histogram === undefined) writeSample(out, series);
  for (const exemplar of series.exemplars) writeExemplar(out, exemplar);
  if (series.histogram !== undefined) writeHistogram(out, series.histogram, series.timeMs);
  out.endMessage(start);
}

function writeLabels(out: ProtoWriter, labels: Iterable<readonly [string, string]>): void {
  for (const [name, value] of labels) {
    if (value === "") continue;
    const label = out.beginMessage(tag(1, BYTES));
    out.stringField(tag(1, BYTES), name);
    out.stringField(tag(2, BYTES), value);
    out.endMessage(label);
  }
}

function writeSample(out: ProtoWriter, { value, timeMs }: TimeSeries): void {
  const sample = out.beginMessage(tag(2, BYTES));
  out.reserve(20);
  out.byte(tag(1, FIXED64));
  if (value === undefined) out.fixed64(STALE_LOW, STALE_HIGH);
  else out.double(value);
  out.byte(tag(2, VARINT));
  out.int64(timeMs);
  out.endMessage(sample);
}

function writeExemplar(out: ProtoWriter, { labels, value, timeMs }: SentExemplar): void {
  const exemplar = out.beginMessage(tag(3, BYTES));
  writeLabels(out, labels);
  out.reserve(20);
  out.byte(tag(2, FIXED64));
  out.double(value);
  out.byte(tag(3, VARINT));
  out.int64(timeMs);
  out.endMessage(exemplar);
}

function writeHistogram(out: ProtoWriter, given: ExponentialPoint, timeMs: number): void {
  const point = coarser(given);
  const start = out.beginMessage(tag(4, BYTES));
  out.reserve(64);
  out.byte(tag(1, VARINT));
  out.varint(point.count);
  if (point.sum !== undefined) {
    out.byte(tag(3, FIXED64));
    out.double(point.sum);
  }
  out.byte(tag(4, VARINT));
  out.varint(zigzag(point.scale));
  out.byte(tag(5, FIXED64));
  out.double(point.zeroThreshold);
  out.byte(tag(6, VARINT));
  out.varint(point.zeroCount);
  writeBuckets(out, point.negative, 8);
  writeBuckets(out, point.positive, 11);
  out.reserve(11);
  out.byte(tag(15, VARINT));
  out.int64(timeMs);
  out.endMessage(start);
}

/** One span of all buckets, and each count as the difference to the one before. */
function writeBuckets(
  out: ProtoWriter,
  { offset, counts }: ExponentialBuckets,
  field: number,
): void {
  if (counts.length === 0) return;
  const span = out.beginMessage(tag(field, BYTES));
  out.reserve(20);
  out.byte(tag(1, VARINT));
  // OpenTelemetry numbers buckets by their lower bound, Prometheus by their upper one.
  out.varint(zigzag(offset + 1));
  out.byte(tag(2, VARINT));
  out.varint(counts.length);
  out.endMessage(span);
  const deltas = out.beginMessage(tag(field + 1, BYTES));
  out.reserve(10 * counts.length);
  let before = 0;
  for (const count of counts) {
    out.varint(zigzag(count - before));
    before = count;
  }
  out.endMessage(deltas);
}

/** The same at a resolution that Prometheus has: neighbouring buckets are joined. */
function coarser(point: ExponentialPoint): ExponentialPoint {
  if (point.scale <= SCHEMA_MAX) return point;
  const factor = 2 ** (point.scale - SCHEMA_MAX);
  const join = ({ offset, counts }: ExponentialBuckets): ExponentialBuckets => {
    const first = Math.floor(offset / factor);
    const joined: number[] = [];
    for (const [at, count] of counts.entries()) {
      const to = Math.floor((offset + at) / factor) - first;
      joined[to] = (joined[to] ?? 0) + count;
    }
    return { offset: first, counts: joined };
  };
  const [positive, negative] = [join(point.positive), join(point.negative)];
  return { ...point, scale: SCHEMA_MAX, positive, negative };
}

function writeMetadata(out: ProtoWriter, { name, type, help, unit }: Metadata): void {
  const start = out.beginMessage(tag(3, BYTES));
  out.reserve(3);
  out.byte(tag(1, VARINT));
  out.varint(type);
  out.stringField(tag(2, BYTES), name);
  out.stringField(tag(4, BYTES), help);
  out.stringField(tag(5, BYTES), unit);
  out.endMessage(start);
}

function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}
