// SPDX-License-Identifier: Apache-2.0
import { AppendFile } from "./append-file.ts";
import { encodeInterval, type Interval } from "./series-format.ts";

const FILE_BYTES_MAX = 16 * 1024 * 1024;
const FILE_MS_MAX = 6 * 3_600_000;

/** Appends intervals to files of bounded size and time. One call at a time. */
export class SeriesWriter {
  readonly #nextPath: () => string;
  readonly #bytesMax: number;
  #file: AppendFile | undefined;
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
    if (this.#file === undefined) {
      this.#file = await AppendFile.create(this.#nextPath());
      this.#sinceMs = interval.startMs;
    }
    await this.#file.append(encodeInterval(interval));
    const isOld = interval.endMs - this.#sinceMs >= FILE_MS_MAX;
    if (isOld || this.#file.end >= this.#bytesMax) await this.close();
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
