// SPDX-License-Identifier: Apache-2.0
import type { MetricSample } from "../../src/component/agent-view.ts";

const STEP_SECONDS = 10;
const STEPS = 360;
/** Of all metrics; what comes when it is full is not kept. */
const SERIES_MAX = 2_000;

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** A ring; NaN where there was no value. */
  readonly values: Float64Array;
}

/** The last hour of the agent's own metrics, in memory: 3 KiB a series. */
export class MetricHistory {
  readonly #series = new Map<string, Series>();
  #at = 0;
  #endUs = 0;

  add(samples: readonly MetricSample[], nowMs: number): void {
    this.#at = (this.#at + 1) % STEPS;
    this.#endUs = nowMs * 1000;
    for (const { values } of this.#series.values()) values[this.#at] = Number.NaN;
    for (const { name, labels, value } of samples) {
      const key = JSON.stringify([name, labels]);
      let series = this.#series.get(key);
      if (series === undefined) {
        if (this.#series.size >= SERIES_MAX) continue;
        series = { name, labels, values: new Float64Array(STEPS).fill(Number.NaN) };
        this.#series.set(key, series);
      }
      series.values[this.#at] = value;
    }
  }

  /** Of one metric, the oldest value first. */
  of(metric: string, seconds: number): object {
    const count = Math.min(STEPS, Math.max(1, Math.ceil(seconds / STEP_SECONDS)));
    const series = [...this.#series.values()]
      .filter(({ name }) => name === metric)
      .map(({ labels, values }) => ({
        labels,
        values: Array.from({ length: count }, (_, step) => {
          const value = values[(this.#at + 1 + STEPS - count + step) % STEPS] ?? Number.NaN;
          return Number.isNaN(value) ? null : value;
        }),
      }));
    return { metric, stepSeconds: STEP_SECONDS, endUs: this.#endUs, series };
  }
}
