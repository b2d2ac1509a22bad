// SPDX-License-Identifier: Apache-2.0
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { MetricSample } from "../component/agent-view.ts";
import { encodeFrame, FRAME_METRICS } from "./frame.ts";

/** Series of one file; what comes when it is full is not kept. */
export const METRIC_SERIES_MAX = 4_000;
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
const PLACE_BYTES = 12;

/** What names one series of the agent's own metrics. */
export interface MetricSeries {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** When a frame was taken, and the number of the first series that it names. */
export interface MetricsPlace {
  readonly atMs: number;
  readonly firstNew: number;
}

/** Numbers for the series of one file, in the order in which they came. */
export class MetricTable {
  readonly #numbers = new Map<string, number>();

  /**
   * The frame of these samples. Call `keep` with what it gives once the frame is in the file: what
   * could not be written is named again.
   */
  encode(samples: readonly MetricSample[], atMs: number): MetricsFrame {
    const firstNew = this.#numbers.size;
    const fresh = new Map<string, MetricSeries>();
    const values = new Map<number, number>();
    for (const { name, labels, value } of samples) {
      const key = JSON.stringify([name, labels]);
      let number = this.#numbers.get(key);
      if (number === undefined) {
        if (firstNew + fresh.size >= METRIC_SERIES_MAX || fresh.has(key)) continue;
        number = firstNew + fresh.size;
        fresh.set(key, { name, labels });
      }
      values.set(number, value);
    }
    const place = Buffer.alloc(PLACE_BYTES);
    place.writeDoubleLE(atMs, 0);
    place.writeUInt32LE(firstNew, 8);
    const names = Buffer.from(JSON.stringify([...fresh.values()]));
    const pieces = encodeFrame(FRAME_METRICS, [
      fresh.size === 0 ? new Uint8Array(0) : zstdCompressSync(names),
      place,
      zstdCompressSync(encodeValues(values, firstNew + fresh.size)),
    ]);
    return { pieces, fresh: [...fresh.keys()] };
  }

  /** The frame is in the file. */
  keep({ fresh }: MetricsFrame): void {
    for (const key of fresh) this.#numbers.set(key, this.#numbers.size);
  }
}

export interface MetricsFrame {
  readonly pieces: readonly Uint8Array[];
  readonly fresh: readonly string[];
}

export function decodeMetricsPlace(section: Buffer): MetricsPlace | undefined {
  if (section.length !== PLACE_BYTES) return undefined;
  return { atMs: section.readDoubleLE(0), firstNew: section.readUInt32LE(8) };
}

/** The series that a frame names; none when it is damaged. */
export function decodeMetricNames(packed: Buffer): readonly MetricSeries[] {
  if (packed.length === 0) return [];
  try {
    const names: unknown = JSON.parse(unpack(packed).toString());
    return Array.isArray(names) ? names.map(seriesOf) : [];
  } catch {
    return [];
  }
}

/** Values by the number of their series, NaN where there was none; undefined when damaged. */
export function decodeMetricValues(packed: Buffer): Float64Array | undefined {
  try {
    const bytes = unpack(packed);
    const count = Math.floor(bytes.length / 8);
    const values = new Uint8Array(8 * count);
    for (let at = 0; at < 8 * count; at++) {
      values[8 * (at % count) + Math.floor(at / count)] = bytes[at] ?? 0;
    }
    return new Float64Array(values.buffer);
  } catch {
    return undefined;
  }
}

/** Byte-wise: all first bytes of the numbers, then all second ones. */
function encodeValues(values: ReadonlyMap<number, number>, count: number): Uint8Array {
  const numbers = new Float64Array(count).fill(Number.NaN);
  for (const [number, value] of values) numbers[number] = value;
  const bytes = new Uint8Array(numbers.buffer);
  return bytes.map((_, at) => bytes[8 * (at % count) + Math.floor(at / count)] ?? 0);
}

function unpack(packed: Buffer): Buffer {
  return zstdDecompressSync(packed, { maxOutputLength: PAYLOAD_BYTES_MAX });
}

function seriesOf(value: unknown): MetricSeries {
  if (typeof value !== "object" || value === null) return { name: "", labels: {} };
  const name = "name" in value ? String(value.name) : "";
  const labels = "labels" in value && typeof value.labels === "object" ? value.labels : null;
  const pairs = Object.entries(labels ?? {});
  return { name, labels: Object.fromEntries(pairs.map(([key, one]) => [key, String(one)])) };
}
