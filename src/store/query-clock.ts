// SPDX-License-Identifier: Apache-2.0

/** Of one turn of the event loop. */
const TURN_MS = 5;

/** Keeps a query within its time, and lets the rest of the agent run in between. */
export class QueryClock {
  readonly #endMs: number;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  #turnEndMs: number;

  constructor(timeoutMs: number, nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
    this.#endMs = this.#startMs + timeoutMs;
    this.#turnEndMs = this.#startMs + TURN_MS;
  }

  get elapsedMs(): number {
    return this.#nowMs() - this.#startMs;
  }

  get isOver(): boolean {
    return this.#nowMs() >= this.#endMs;
  }

  /** Waits for the next turn when this one is over. */
  async breathe(): Promise<void> {
    if (this.#nowMs() < this.#turnEndMs) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#turnEndMs = this.#nowMs() + TURN_MS;
  }
}
