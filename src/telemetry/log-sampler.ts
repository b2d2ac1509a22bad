// SPDX-License-Identifier: Apache-2.0
import type { LogLevel } from "../component/telemetry.ts";

export interface SamplingOptions {
  readonly enabled: boolean;
  readonly tickMs: number;
  /** Equal lines (level and message) that pass in each tick. */
  readonly initial: number;
  /** After these one in so many passes; 0 is none. */
  readonly thereafter: number;
}

const KEYS_MAX = 1_000;

/** The Collector's log sampling: the first lines of a kind in each tick, then one in many. */
export class LogSampler {
  readonly #options: SamplingOptions;
  readonly #counts = new Map<string, number>();
  #tickEndMs = 0;

  constructor(options: SamplingOptions) {
    this.#options = options;
  }

  passes(level: LogLevel, message: string, nowMs: number): boolean {
    const { enabled, tickMs, initial, thereafter } = this.#options;
    if (!enabled) return true;
    if (nowMs >= this.#tickEndMs || nowMs < this.#tickEndMs - tickMs) {
      this.#counts.clear();
      this.#tickEndMs = nowMs + tickMs;
    }
    const key = `${level} ${message}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    if (count > 1 || this.#counts.size < KEYS_MAX) this.#counts.set(key, count);
    if (count <= initial) return true;
    return thereafter > 0 && (count - initial) % thereafter === 0;
  }
}
