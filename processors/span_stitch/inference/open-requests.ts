// SPDX-License-Identifier: Apache-2.0

/** Of either kind; beyond, the older half is forgotten. */
const TIMES_MAX = 16_384;

/** How many of the requests that have come were open at a time; bounded. Times in µs. */
export class OpenRequests {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Before it, starts less ends are all that is known. */
  #forgottenUntilUs = Number.NEGATIVE_INFINITY;
  #forgottenOpen = 0;

  add(startUs: number, endUs: number): void {
    insert(this.#starts, startUs);
    insert(this.#ends, endUs);
    if (this.#starts.length <= TIMES_MAX) return;
    this.#forgottenUntilUs = this.#starts[TIMES_MAX / 2] ?? 0;
    const starts = this.#starts.splice(0, countUpTo(this.#starts, this.#forgottenUntilUs));
    const ends = this.#ends.splice(0, countUpTo(this.#ends, this.#forgottenUntilUs));
    this.#forgottenOpen += starts.length - ends.length;
  }

  /** At a time that was forgotten: infinite. */
  at(timeUs: number, toleranceUs: number): number {
    if (timeUs < this.#forgottenUntilUs) return Number.POSITIVE_INFINITY;
    const begun = countUpTo(this.#starts, timeUs + toleranceUs);
    const ended = countUpTo(this.#ends, timeUs - toleranceUs);
    return this.#forgottenOpen + begun - ended;
  }
}

/** Spans come nearly in order: looks from the end. */
function insert(times: number[], time: number): void {
  let at = times.length;
  while (at > 0 && (times[at - 1] ?? 0) > time) at--;
  times.splice(at, 0, time);
}

/** Of `times`, ascending: how many are at most `time`. */
function countUpTo(times: readonly number[], time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? 0) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
