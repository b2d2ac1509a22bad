// SPDX-License-Identifier: Apache-2.0
import type { QueryClock } from "./query-clock.ts";
import type { StoreReader } from "./store-reader.ts";

/** Steps of one answer. */
const STEPS_MAX = 360;
const STEP_SECONDS_MIN = 10;
const SERIES_MAX = 200;

export interface MetricHistory {
  readonly metric: string;
  readonly stepSeconds: number;
  readonly endUs: number;
  readonly series: readonly {
    readonly labels: Readonly<Record<string, string>>;
    /** Oldest first; null where there is none. */
    readonly values: readonly (number | null)[];
  }[];
  readonly truncated: boolean;
}

interface HistoryQuery {
  readonly metric: string;
  readonly seconds: number;
  readonly nowMs: number;
  readonly clock: QueryClock;
}

/** The values that one of the agent's own metrics had: the last of each step. */
export async function metricHistory(
  reader: StoreReader,
  { metric, seconds, nowMs, clock }: HistoryQuery,
): Promise<MetricHistory> {
  const stepSeconds = Math.max(STEP_SECONDS_MIN, Math.ceil(seconds / STEPS_MAX));
  const count = Math.max(1, Math.ceil(seconds / stepSeconds));
  const stepMs = stepSeconds * 1000;
  const startMs = nowMs - count * stepMs;
  const series = new Map<string, { labels: Readonly<Record<string, string>>; values: number[] }>();
  let truncated = false;
  for (const file of reader.series().toReversed()) {
    let readStep = -1;
    // Newest first: of the frames of one step the last is read, and no other.
    for (const frame of file.metricFrames().toReversed()) {
      const step = Math.floor((frame.atMs - startMs) / stepMs);
      if (step < 0 || step >= count || step === readStep) continue;
      if (clock.isOver) truncated = true;
      if (truncated) break;
      readStep = step;
      await clock.breathe();
      for (const { labels, value } of file.metricValues(frame, metric)) {
        const key = JSON.stringify(labels);
        let one = series.get(key);
        if (one === undefined) {
          if (series.size >= SERIES_MAX) continue;
          one = { labels, values: new Array<number>(count).fill(Number.NaN) };
          series.set(key, one);
        }
        if (Number.isNaN(one.values[step])) one.values[step] = value;
      }
    }
  }
  const shown = [...series.values()].map(({ labels, values }) => ({
    labels,
    values: values.map((value) => (Number.isNaN(value) ? null : value)),
  }));
  return { metric, stepSeconds, endUs: nowMs * 1000, series: shown, truncated };
}
