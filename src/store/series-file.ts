// SPDX-License-Identifier: Apache-2.0
import { FileReads } from "./file-reads.ts";
import {
  decodeFrameHeader,
  FRAME_METRICS,
  FRAME_SERIES,
  type FrameHeader,
  findFrame,
  sectionOf,
} from "./frame.ts";
import {
  decodeMetricNames,
  decodeMetricsPlace,
  decodeMetricValues,
  METRIC_SERIES_MAX,
  type MetricSeries,
} from "./metrics-format.ts";
import { FILE_HEADER_BYTES } from "./segment-format.ts";
import { decodeInterval, decodeTimes, type Interval, type ReadTally } from "./series-format.ts";

const VALUES = 2;

interface Place {
  readonly at: number;
  readonly bytes: number;
}

interface IntervalEntry extends Place {
  readonly startMs: number;
  readonly endMs: number;
}

/** Where values of the agent's own metrics stand. */
export interface MetricFrame extends Place {
  readonly atMs: number;
}

export interface MetricValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Reads one file of intervals and of the agent's own metrics, also while it grows. */
export class SeriesFile {
  readonly #file: FileReads;
  readonly #intervals: IntervalEntry[] = [];
  readonly #frames: MetricFrame[] = [];
  /** By the number of the series. */
  readonly #metrics: MetricSeries[] = [];
  #end = FILE_HEADER_BYTES;

  /** Throws `SegmentError`. */
  constructor(path: string) {
    this.#file = new FileReads(path);
    this.refresh();
  }

  /** Takes up what was written since. */
  refresh(): void {
    const size = this.#file.bytes;
    if (size <= this.#end) return;
    const bytes = this.#file.read(this.#end, size - this.#end);
    let at = 0;
    while (at < bytes.length) {
      const header = decodeFrameHeader(bytes, at);
      if (header !== undefined && this.#take(bytes, at, header)) {
        at += header.bytes;
        continue;
      }
      const next = findFrame(bytes, at + 1);
      if (next < 0) break;
      at = next;
    }
    this.#end += at;
  }

  /** Intervals that end after `startMs` and begin before `endMs`; damaged ones are left out. */
  *intervals(startMs: number, endMs: number): Generator<Interval<ReadTally>> {
    for (const entry of this.#intervals) {
      if (entry.endMs <= startMs || entry.startMs >= endMs) continue;
      const payload = this.#section(entry, 0);
      const interval = payload && decodeInterval(payload, entry);
      if (interval !== undefined) yield interval;
    }
  }

  /** Oldest first. */
  metricFrames(): readonly MetricFrame[] {
    return this.#frames;
  }

  /** The series of a metric and what they were then. */
  metricValues(frame: MetricFrame, metric: string): readonly MetricValue[] {
    const numbers = [...this.#metrics.keys()].filter(
      (number) => this.#metrics[number]?.name === metric,
    );
    const packed = numbers.length === 0 ? undefined : this.#section(frame, VALUES);
    const values = packed && decodeMetricValues(packed);
    return numbers.flatMap((number) => {
      const value = values?.[number] ?? Number.NaN;
      const labels = this.#metrics[number]?.labels ?? {};
      return Number.isNaN(value) ? [] : [{ labels, value }];
    });
  }

  close(): void {
    this.#file.close();
  }

  /** One frame; false when it is cut or damaged. */
  #take(bytes: Buffer, at: number, header: FrameHeader): boolean {
    if (at + header.bytes > bytes.length) return false;
    const frame = { header, frameAt: at };
    const second = sectionOf(bytes, frame, 1);
    if (second === undefined) return false;
    const place = { at: this.#end + at, bytes: header.bytes };
    if (header.kind === FRAME_SERIES) {
      const times = decodeTimes(second);
      if (times !== undefined) this.#intervals.push({ ...place, ...times });
      return times !== undefined;
    }
    // A kind that is not known is of a later version of the agent.
    if (header.kind !== FRAME_METRICS) return true;
    const taken = decodeMetricsPlace(second);
    const names = sectionOf(bytes, frame, 0);
    if (taken === undefined || names === undefined) return false;
    for (const [index, series] of decodeMetricNames(names).entries()) {
      const number = taken.firstNew + index;
      if (number < METRIC_SERIES_MAX) this.#metrics[number] = series;
    }
    this.#frames.push({ ...place, atMs: taken.atMs });
    return true;
  }

  #section({ at, bytes }: Place, section: number): Buffer | undefined {
    const frame = this.#file.read(at, bytes);
    const header = decodeFrameHeader(frame, 0);
    return header && sectionOf(frame, { header, frameAt: 0 }, section);
  }
}
