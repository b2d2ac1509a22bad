// SPDX-License-Identifier: Apache-2.0
import type { ProtoWriter } from "../pdata/proto-writer.ts";
import type { Distribution } from "./distribution.ts";
import { type Pair, writePairs } from "./pairs.ts";

const DATA_POINTS = 0x0a;
const START_TIME = 0x11;
const TIME = 0x19;
const NUMBER_AS_INT = 0x31;
const EXEMPLAR = { number: 0x2a, histogram: 0x42, exponential: 0x5a } as const;
const ATTRIBUTES = { number: 0x3a, histogram: 0x4a, exponential: 0x0a } as const;

export type PointKind = keyof typeof EXEMPLAR;

export interface Exemplar {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly timeNs: bigint;
  readonly value: number;
}

/** One combination of dimensions. */
export interface Series {
  readonly pairs: readonly Pair[];
  count: number;
  readonly durations: Distribution | undefined;
  readonly exemplars: Exemplar[];
  startNs: bigint;
  lastSeenMs: number;
}

/** Series of one metric and resource, by their keys. */
export class SeriesTable {
  readonly #byKey = new Map<string, Series>();
  /** What no other table has. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  find(key: string): Series | undefined {
    return this.#byKey.get(key);
  }

  put(key: string, series: Series): void {
    this.#byKey.set(key, series);
  }

  get size(): number {
    return this.#byKey.size;
  }

  entries(): Iterable<[string, Series]> {
    return this.#byKey;
  }

  remove(key: string): void {
    this.#byKey.delete(key);
  }
}

function writeExemplars(out: ProtoWriter, tag: number, exemplars: readonly Exemplar[]): void {
  for (const { traceId, spanId, timeNs, value } of exemplars) {
    const message = out.beginMessage(tag);
    out.reserve(32);
    out.byte(0x11);
    writeTime(out, timeNs);
    out.byte(0x19);
    out.double(value);
    out.bytesField(0x22, spanId);
    out.bytesField(0x2a, traceId);
    out.endMessage(message);
  }
}

function writeTime(out: ProtoWriter, ns: bigint): void {
  out.fixed64(Number(ns & 0xffffffffn), Number(ns >> 32n));
}

function beginPoint(out: ProtoWriter, series: Series, nowNs: bigint): number {
  const point = out.beginMessage(DATA_POINTS);
  out.reserve(32);
  out.byte(START_TIME);
  writeTime(out, series.startNs);
  out.byte(TIME);
  writeTime(out, nowNs);
  return point;
}

/** A NumberDataPoint of the series' count. */
export function writeCount(out: ProtoWriter, series: Series, nowNs: bigint): void {
  const point = beginPoint(out, series, nowNs);
  out.byte(NUMBER_AS_INT);
  out.fixed64(series.count % 2 ** 32, Math.floor(series.count / 2 ** 32));
  writeExemplars(out, EXEMPLAR.number, series.exemplars);
  writePairs(out, ATTRIBUTES.number, series.pairs);
  out.endMessage(point);
}

/** A data point of the series' durations. */
export function writeDurations(
  out: ProtoWriter,
  series: Series,
  { nowNs, kind }: { readonly nowNs: bigint; readonly kind: "histogram" | "exponential" },
): void {
  const point = beginPoint(out, series, nowNs);
  series.durations?.writeTo(out);
  writeExemplars(out, EXEMPLAR[kind], series.exemplars);
  writePairs(out, ATTRIBUTES[kind], series.pairs);
  out.endMessage(point);
}
