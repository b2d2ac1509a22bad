// SPDX-License-Identifier: Apache-2.0
import type { ProtoWriter } from "../pdata/proto-writer.ts";
import type { EpochClock } from "./epoch-clock.ts";

/** The bounds that the HTTP metric conventions advise, seconds, each inclusive above. */
export const BOUNDS_SECONDS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/** Tags: Histogram.data_points and the fields of HistogramDataPoint. */
const DATA_POINTS = 0x0a;
const START_TIME = 0x11;
const TIME = 0x19;
const COUNT = 0x21;
const SUM = 0x29;
const BUCKET_COUNTS = 0x32;
const EXPLICIT_BOUNDS = 0x3a;
const MIN = 0x59;
const MAX = 0x61;

const BUCKETS = BOUNDS_SECONDS.length + 1;
const TWO_TO_32 = 0x100000000;

/** One time series of durations since `startNs`. */
export class HistogramSeries {
  /** KeyValue fields of a data point. */
  readonly attributes: Uint8Array;
  /** Of the monotonic clock. */
  readonly startNs: number;
  /** Another series with the same hash. */
  readonly next: HistogramSeries | undefined;
  readonly counts: Float64Array = new Float64Array(BUCKETS);
  count = 0;
  sum = 0;
  min: number = Number.POSITIVE_INFINITY;
  max = 0;

  constructor(attributes: Uint8Array, startNs: number, next: HistogramSeries | undefined) {
    this.attributes = attributes;
    this.startNs = startNs;
    this.next = next;
  }

  matches(bytes: Uint8Array, length: number): boolean {
    const attributes = this.attributes;
    if (attributes.length !== length) return false;
    for (let at = 0; at < length; at++) if (attributes[at] !== bytes[at]) return false;
    return true;
  }

  add(seconds: number): void {
    let bucket = 0;
    while (bucket < BOUNDS_SECONDS.length && seconds > (BOUNDS_SECONDS[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.count++;
    this.sum += seconds;
    if (seconds < this.min) this.min = seconds;
    if (seconds > this.max) this.max = seconds;
  }
}

export function writeHistogramPoint(
  out: ProtoWriter,
  series: HistogramSeries,
  clock: EpochClock,
  nowNs: number,
): void {
  const point = out.beginMessage(DATA_POINTS);
  out.reserve(series.attributes.length + 64 + BUCKETS * 16);
  clock.convert(series.startNs);
  out.byte(START_TIME);
  out.fixed64(clock.low, clock.high);
  clock.convert(nowNs);
  out.byte(TIME);
  out.fixed64(clock.low, clock.high);
  out.byte(COUNT);
  writeCount(out, series.count);
  out.byte(SUM);
  out.double(series.sum);
  out.byte(BUCKET_COUNTS);
  out.varint(BUCKETS * 8);
  for (const count of series.counts) writeCount(out, count);
  out.byte(EXPLICIT_BOUNDS);
  out.varint(BOUNDS_SECONDS.length * 8);
  for (const bound of BOUNDS_SECONDS) out.double(bound);
  out.copy(series.attributes, 0, series.attributes.length);
  out.byte(MIN);
  out.double(series.min);
  out.byte(MAX);
  out.double(series.max);
  out.endMessage(point);
}

function writeCount(out: ProtoWriter, count: number): void {
  out.fixed64(count % TWO_TO_32, Math.floor(count / TWO_TO_32));
}
