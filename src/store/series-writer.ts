// SPDX-License-Identifier: Apache-2.0
import type { MetricSample } from "../component/agent-view.ts";
import { AppendFile } from "./append-file.ts";
import { MetricTable } from "./metrics-format.ts";
import { encodeInterval, type Interval } from "./series-format.ts";

const FILE_BYTES_MAX = 16 * 1024 * 1024;
const FILE_MS_MAX = 6 * 3_600_000;

/** Appends intervals and metrics to files of bounded size and time. One call at a time. */
export class SeriesWriter {
  readonly #nextPath: () => string;
  readonly #bytesMax: number;
  #file: AppendFile | undefined;
  #metrics = new MetricTable();
  #sinceMs = 0;

  constructor(nextPath: () => string, bytesMax: number) {
    this.#nextPath = nextPath;
    this.#bytesMax = Math.min(FILE_BYTES_MAX, bytesMax);
  }

  /** Of the file that is being written. */
  get path(): string | undefined {
    return this.#file?.path;
  }

  async write(interval: Interval): Promise<void> {
    const file = await this.#open(interval.startMs);
    await file.append(encodeInterval(interval));
    await this.#closeWhenFull(file, interval.endMs);
  }

  /** What the agent's own metrics are now. */
  async writeMetrics(samples: readonly MetricSample[], atMs: number): Promise<void> {
    const file = await this.#open(atMs);
    const frame = this.#metrics.encode(samples, atMs);
    await file.append(frame.pieces);
    this.#metrics.keep(frame);
    await this.#closeWhenFull(file, atMs);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #open(nowMs: number): Promise<AppendFile> {
    if (this.#file === undefined) {
      this.#file = await AppendFile.create(this.#nextPath());
      this.#sinceMs = nowMs;
      this.#metrics = new MetricTable();
    }
    return this.#file;
  }

  async #closeWhenFull(file: AppendFile, nowMs: number): Promise<void> {
    const isOld = nowMs - this.#sinceMs >= FILE_MS_MAX;
    if (isOld || file.end >= this.#bytesMax) await this.close();
  }
}
