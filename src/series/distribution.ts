// SPDX-License-Identifier: Apache-2.0
import type { ProtoWriter } from "../pdata/proto-writer.ts";

/** Fields of HistogramDataPoint and ExponentialHistogramDataPoint that their kind decides. */
export interface Distribution {
  readonly count: number;
  readonly sum: number;
  record(value: number): void;
  reset(): void;
  /** Writes what only this kind of data point has. */
  writeTo(out: ProtoWriter): void;
}

const SUM = 0x29;
const COUNT = 0x21;

function writeTotals(out: ProtoWriter, count: number, sum: number): void {
  out.reserve(18);
  out.byte(COUNT);
  out.fixed64(count % 2 ** 32, Math.floor(count / 2 ** 32));
  out.byte(SUM);
  out.double(sum);
}

/** Buckets with given upper bounds, ascending; one more for what is above all. */
export class ExplicitDistribution implements Distribution {
  count = 0;
  sum = 0;
  readonly #bounds: Float64Array;
  readonly #counts: Float64Array;

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  record(value: number): void {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (bounds[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    this.#counts[low] = (this.#counts[low] ?? 0) + 1;
    this.count++;
    this.sum += value;
  }

  reset(): void {
    this.count = 0;
    this.sum = 0;
    this.#counts.fill(0);
  }

  writeTo(out: ProtoWriter): void {
    const counts = this.#counts;
    writeTotals(out, this.count, this.sum);
    out.reserve(counts.length * 16 + 24);
    out.byte(0x32);
    out.varint(counts.length * 8);
    for (const count of counts) out.fixed64(count % 2 ** 32, Math.floor(count / 2 ** 32));
    if (this.#bounds.length === 0) return;
    out.byte(0x3a);
    out.varint(this.#bounds.length * 8);
    for (const bound of this.#bounds) out.double(bound);
  }
}

const SCALE_MAX = 20;
const SCALE_MIN = -10;

/**
 * Base-2 exponential buckets (opentelemetry.io/docs/specs/otel/metrics/data-model,
 * "ExponentialHistogram"): the scale is the largest at which all values fit in `sizeMax` buckets.
 */
export class ExponentialDistribution implements Distribution {
  count = 0;
  sum = 0;
  readonly #sizeMax: number;
  #scale = SCALE_MAX;
  #zeros = 0;
  #offset = 0;
  #counts: number[] = [];

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  record(value: number): void {
    this.count++;
    this.sum += value;
    if (value <= 0) {
      this.#zeros++;
      return;
    }
    let index = this.#indexOf(value);
    if (this.#counts.length === 0) this.#offset = index;
    while (this.#spanWith(index) > this.#sizeMax && this.#scale > SCALE_MIN) {
      this.#halve();
      index = this.#indexOf(value);
    }
    while (index < this.#offset) {
      this.#counts.unshift(0);
      this.#offset--;
    }
    const at = index - this.#offset;
    while (this.#counts.length <= at) this.#counts.push(0);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  /** Bucket `index` holds values above base^index, up to base^(index + 1). */
  #indexOf(value: number): number {
    return Math.ceil(Math.log2(value) * 2 ** this.#scale) - 1;
  }

  #spanWith(index: number): number {
    const last = this.#offset + this.#counts.length - 1;
    return Math.max(last, index) - Math.min(this.#offset, index) + 1;
  }

  #halve(): void {
    this.#scale--;
    const offset = Math.floor(this.#offset / 2);
    const counts: number[] = [];
    for (const [at, count] of this.#counts.entries()) {
      const to = Math.floor((this.#offset + at) / 2) - offset;
      counts[to] = (counts[to] ?? 0) + count;
    }
    this.#offset = offset;
    this.#counts = counts;
  }

  reset(): void {
    this.count = 0;
    this.sum = 0;
    this.#zeros = 0;
    this.#scale = SCALE_MAX;
    this.#offset = 0;
    this.#counts = [];
  }

  writeTo(out: ProtoWriter): void {
    writeTotals(out, this.count, this.sum);
    out.reserve(this.#counts.length * 10 + 64);
    out.byte(0x30);
    out.varint(zigzag(this.#scale));
    out.byte(0x39);
    out.fixed64(this.#zeros % 2 ** 32, Math.floor(this.#zeros / 2 ** 32));
    if (this.#counts.length === 0) return;
    const positive = out.beginMessage(0x42);
    out.byte(0x08);
    out.varint(zigzag(this.#offset));
    const counts = out.beginMessage(0x12);
    for (const count of this.#counts) out.varint(count);
    out.endMessage(counts);
    out.endMessage(positive);
  }
}

function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1;
}
