// SPDX-License-Identifier: Apache-2.0
import { type AttributeValue, decodeAnyValue } from "../pdata/span-view.ts";
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT } from "../pdata/wire.ts";

/** Field numbers are those of opentelemetry/proto/metrics/v1/metrics.proto. */
export type Attributes = ReadonlyMap<string, AttributeValue>;

export interface Exemplar {
  readonly attributes: Attributes;
  readonly timeNs: bigint;
  readonly value: number;
  /** Lower-case hexadecimal; empty without a span. */
  readonly traceId: string;
  readonly spanId: string;
}

interface PointBase {
  readonly attributes: Attributes;
  /** Since the epoch; 0 when not known. */
  readonly startNs: bigint;
  readonly timeNs: bigint;
  /** The source has stopped to report it. */
  readonly isStale: boolean;
  readonly exemplars: readonly Exemplar[];
}

export interface NumberPoint extends PointBase {
  readonly value: number;
}

export interface HistogramPoint extends PointBase {
  readonly count: number;
  /** Undefined where it was not recorded. */
  readonly sum: number | undefined;
  /** One more than `bounds`; not cumulative. Empty: only count and sum. */
  readonly buckets: readonly number[];
  readonly bounds: readonly number[];
}

/** Buckets `offset` and on: bucket i holds (base^i, base^(i+1)], base = 2^(2^-scale). */
export interface ExponentialBuckets {
  readonly offset: number;
  readonly counts: readonly number[];
}

export interface ExponentialPoint extends PointBase {
  readonly count: number;
  readonly sum: number | undefined;
  readonly scale: number;
  readonly zeroCount: number;
  readonly zeroThreshold: number;
  readonly positive: ExponentialBuckets;
  readonly negative: ExponentialBuckets;
}

export interface SummaryPoint extends PointBase {
  readonly count: number;
  readonly sum: number;
  readonly quantiles: readonly { readonly quantile: number; readonly value: number }[];
}

export type MetricData =
  | { readonly kind: "gauge"; readonly points: readonly NumberPoint[] }
  | {
      readonly kind: "sum";
      readonly isMonotonic: boolean;
      readonly isDelta: boolean;
      readonly points: readonly NumberPoint[];
    }
  | {
      readonly kind: "histogram";
      readonly isDelta: boolean;
      readonly points: readonly HistogramPoint[];
    }
  | {
      readonly kind: "exponential";
      readonly isDelta: boolean;
      readonly points: readonly ExponentialPoint[];
    }
  | { readonly kind: "summary"; readonly points: readonly SummaryPoint[] };

export interface Scope {
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
  readonly attributes: Attributes;
}

export interface DecodedMetric {
  readonly resource: Attributes;
  readonly scope: Scope;
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly data: MetricData;
}

const decoder = new TextDecoder();
const NO_RECORDED_VALUE = 1;
const DELTA = 1;
const NO_BUCKETS: ExponentialBuckets = { offset: 0, counts: [] };

/** The metrics of an `ExportMetricsServiceRequest`, in order; those without data are left out. */
export function decodeMetrics(bytes: Uint8Array): DecodedMetric[] {
  const metrics: DecodedMetric[] = [];
  for (const resourceMetrics of parts(whole(bytes), 1)) {
    const message = parts(resourceMetrics, 1).at(-1);
    const resource = message === undefined ? new Map() : attributesIn(message, 1);
    for (const scopeMetrics of parts(resourceMetrics, 2)) {
      const scope = scopeOf(scopeMetrics);
      for (const metric of parts(scopeMetrics, 2)) {
        const data = dataOf(metric);
        if (data === undefined) continue;
        const [name, description, unit] = [text(metric, 1), text(metric, 2), text(metric, 3)];
        metrics.push({ resource, scope, name, description, unit, data });
      }
    }
  }
  return metrics;
}

interface Part {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

function whole(bytes: Uint8Array): Part {
  return { bytes, start: 0, end: bytes.length };
}

function reading({ bytes, start, end }: Part): FieldReader {
  return new FieldReader().reset(bytes, start, end);
}

function parts(message: Part, field: number): Part[] {
  const found: Part[] = [];
  const reader = reading(message);
  while (reader.next()) {
    if (reader.field !== field || reader.wireType !== WIRE_BYTES) continue;
    found.push({ bytes: reader.bytes, start: reader.start, end: reader.stop });
  }
  return found;
}

function text(message: Part, field: number): string {
  const part = parts(message, field).at(-1);
  return part === undefined ? "" : decoder.decode(part.bytes.subarray(part.start, part.end));
}

function attributesIn(message: Part, field: number): Attributes {
  const attributes = new Map<string, AttributeValue>();
  for (const pair of parts(message, field)) {
    const value = parts(pair, 2).at(-1);
    const decoded =
      value === undefined ? undefined : decodeAnyValue(value.bytes, value.start, value.end);
    attributes.set(text(pair, 1), decoded);
  }
  return attributes;
}

function scopeOf(scopeMetrics: Part): Scope {
  const scope = parts(scopeMetrics, 1).at(-1);
  const schemaUrl = text(scopeMetrics, 3);
  if (scope === undefined) return { name: "", version: "", schemaUrl, attributes: new Map() };
  const [name, version] = [text(scope, 1), text(scope, 2)];
  return { name, version, schemaUrl, attributes: attributesIn(scope, 3) };
}

function dataOf(metric: Part): MetricData | undefined {
  let data: MetricData | undefined;
  const reader = reading(metric);
  while (reader.next()) {
    if (reader.wireType !== WIRE_BYTES) continue;
    const part = { bytes: reader.bytes, start: reader.start, end: reader.stop };
    const points = parts(part, 1);
    const isDelta = numbers(part, 2).at(-1) === DELTA;
    if (reader.field === 5) data = { kind: "gauge", points: points.map(numberPoint) };
    else if (reader.field === 7) {
      const isMonotonic = numbers(part, 3).at(-1) === 1;
      data = { kind: "sum", isMonotonic, isDelta, points: points.map(numberPoint) };
    } else if (reader.field === 9) {
      data = { kind: "histogram", isDelta, points: points.map(histogramPoint) };
    } else if (reader.field === 10) {
      data = { kind: "exponential", isDelta, points: points.map(exponentialPoint) };
    } else if (reader.field === 11) data = { kind: "summary", points: points.map(summaryPoint) };
  }
  return data;
}

function numberPoint(part: Part): NumberPoint {
  let value = 0;
  const reader = reading(part);
  while (reader.next()) {
    if (reader.wireType !== WIRE_FIXED64) continue;
    if (reader.field === 4) value = doubleAt(reader.bytes, reader.start);
    else if (reader.field === 6) value = Number(viewOf(reader).getBigInt64(reader.start, true));
  }
  return { ...pointBase(part, { attributes: 7, exemplars: 5, flags: 8 }), value };
}

function histogramPoint(part: Part): HistogramPoint {
  return {
    ...pointBase(part, { attributes: 9, exemplars: 8, flags: 10 }),
    count: counts(part, 4).at(-1) ?? 0,
    sum: doubles(part, 5).at(-1),
    buckets: counts(part, 6),
    bounds: doubles(part, 7),
  };
}

function exponentialPoint(part: Part): ExponentialPoint {
  const buckets = (field: number): ExponentialBuckets => {
    const message = parts(part, field).at(-1);
    if (message === undefined) return NO_BUCKETS;
    return { offset: unzigzag(numbers(message, 1).at(-1) ?? 0), counts: numbers(message, 2) };
  };
  return {
    ...pointBase(part, { attributes: 1, exemplars: 11, flags: 10 }),
    count: counts(part, 4).at(-1) ?? 0,
    sum: doubles(part, 5).at(-1),
    scale: unzigzag(numbers(part, 6).at(-1) ?? 0),
    zeroCount: counts(part, 7).at(-1) ?? 0,
    zeroThreshold: doubles(part, 14).at(-1) ?? 0,
    positive: buckets(8),
    negative: buckets(9),
  };
}

function summaryPoint(part: Part): SummaryPoint {
  const quantiles = parts(part, 6).map((one) => ({
    quantile: doubles(one, 1).at(-1) ?? 0,
    value: doubles(one, 2).at(-1) ?? 0,
  }));
  return {
    ...pointBase(part, { attributes: 7, exemplars: -1, flags: 8 }),
    count: counts(part, 4).at(-1) ?? 0,
    sum: doubles(part, 5).at(-1) ?? 0,
    quantiles,
  };
}

/** Where a kind of point has what all have. */
interface PointFields {
  readonly attributes: number;
  readonly exemplars: number;
  readonly flags: number;
}

function pointBase(part: Part, fields: PointFields): PointBase {
  const flags = numbers(part, fields.flags).at(-1) ?? 0;
  return {
    attributes: attributesIn(part, fields.attributes),
    startNs: timeOf(part, 2),
    timeNs: timeOf(part, 3),
    isStale: (flags & NO_RECORDED_VALUE) !== 0,
    exemplars: parts(part, fields.exemplars).map(exemplarOf),
  };
}

function exemplarOf(part: Part): Exemplar {
  const id = (field: number): string => {
    const found = parts(part, field).at(-1);
    if (found === undefined) return "";
    return Buffer.from(found.bytes.subarray(found.start, found.end)).toString("hex");
  };
  let value = 0;
  const reader = reading(part);
  while (reader.next()) {
    if (reader.wireType !== WIRE_FIXED64) continue;
    if (reader.field === 3) value = doubleAt(reader.bytes, reader.start);
    else if (reader.field === 6) value = Number(viewOf(reader).getBigInt64(reader.start, true));
  }
  const attributes = attributesIn(part, 7);
  return { attributes, timeNs: timeOf(part, 2), value, traceId: id(5), spanId: id(4) };
}

function timeOf(part: Part, field: number): bigint {
  let time = 0n;
  const reader = reading(part);
  while (reader.next()) {
    if (reader.field === field && reader.wireType === WIRE_FIXED64) {
      time = viewOf(reader).getBigUint64(reader.start, true);
    }
  }
  return time;
}

/** Varints of a field, packed or not. */
function numbers(part: Part, field: number): number[] {
  const found: number[] = [];
  const reader = reading(part);
  while (reader.next()) {
    if (reader.field !== field) continue;
    if (reader.wireType === WIRE_VARINT) found.push(reader.high * 2 ** 32 + reader.low);
    else if (reader.wireType === WIRE_BYTES) {
      const packed = new FieldReader().reset(reader.bytes, reader.start, reader.stop);
      while (packed.position < packed.end && packed.element()) {
        found.push(packed.high * 2 ** 32 + packed.low);
      }
    }
  }
  return found;
}

/** fixed64 of a field, packed or not, each read by `read`. */
function fixed(part: Part, field: number, read: (bytes: Uint8Array, at: number) => number) {
  const found: number[] = [];
  const reader = reading(part);
  while (reader.next()) {
    if (reader.field !== field) continue;
    if (reader.wireType === WIRE_FIXED64) found.push(read(reader.bytes, reader.start));
    else if (reader.wireType === WIRE_BYTES) {
      for (let at = reader.start; at + 8 <= reader.stop; at += 8)
        found.push(read(reader.bytes, at));
    }
  }
  return found;
}

function counts(part: Part, field: number): number[] {
  return fixed(
    part,
    field,
    (bytes, at) => readFixed32(bytes, at + 4) * 2 ** 32 + readFixed32(bytes, at),
  );
}

function doubles(part: Part, field: number): number[] {
  return fixed(part, field, doubleAt);
}

function viewOf({ bytes }: FieldReader): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function doubleAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getFloat64(at, true);
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
