// SPDX-License-Identifier: Apache-2.0

/** Per mille: of connections that are not captured. Never all: a sample stays. */
const SHED_MAX = 950;
const SHED_STEP_FIRST = 100;
const SHED_STEP_DOWN = 50;
/** Calm checks in a row before a step down. */
const CALM_CHECKS = 10;
const CALM_FILL = 0.25;

export interface RingState {
  /** Calls that found the ring full since the start. */
  readonly ringFull: number;
  readonly fillRatio: number;
}

/**
 * How many connections to leave out: more at once when the ring was full, fewer slowly when it
 * was calm for a while. Call `next` once a second; while reading is paused, do not.
 */
export class ShedControl {
  #shed = 0;
  #calm = 0;
  #ringFull = 0;

  get perMille(): number {
    return this.#shed;
  }

  /** What filled the ring while nobody read it says nothing of the load. */
  forget(ringFull: number): void {
    this.#ringFull = ringFull;
    this.#calm = 0;
  }

  next(state: RingState): number {
    const grew = state.ringFull > this.#ringFull;
    this.#ringFull = state.ringFull;
    if (grew) {
      this.#calm = 0;
      this.#shed = Math.min(SHED_MAX, this.#shed + Math.max(SHED_STEP_FIRST, this.#shed >> 1));
      return this.#shed;
    }
    this.#calm = state.fillRatio < CALM_FILL ? this.#calm + 1 : 0;
    if (this.#calm >= CALM_CHECKS && this.#shed > 0) {
      this.#calm = 0;
      this.#shed = Math.max(0, this.#shed - SHED_STEP_DOWN);
    }
    return this.#shed;
  }
}
