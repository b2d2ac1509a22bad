// SPDX-License-Identifier: Apache-2.0
import type { Fields, Logger, LogLevel } from "../component/telemetry.ts";

const LINES_MAX = 64;

/** Writes a message at most once in `intervalMs`; the next line says how many were left out. */
export class ThrottledLog {
  readonly #logger: Logger;
  readonly #intervalMs: number;
  readonly #last = new Map<string, { timeMs: number; suppressed: number }>();

  constructor(logger: Logger, intervalMs = 1_000) {
    this.#logger = logger;
    this.#intervalMs = intervalMs;
  }

  write(level: LogLevel, message: string, fields: Fields = {}): void {
    const nowMs = Date.now();
    const last = this.#last.get(message);
    if (last !== undefined && Math.abs(nowMs - last.timeMs) < this.#intervalMs) {
      last.suppressed++;
      return;
    }
    if (last === undefined && this.#last.size >= LINES_MAX) this.#last.clear();
    this.#last.set(message, { timeMs: nowMs, suppressed: 0 });
    const suppressed = last?.suppressed ?? 0;
    this.#logger[level](message, suppressed === 0 ? fields : { ...fields, suppressed });
  }
}
