// SPDX-License-Identifier: Apache-2.0

/** Work in one turn of the event loop; then others have theirs. */
const TURN_MAX_MS = 5;
/** Records between two looks at the clock. */
const RECORDS_PER_STEP = 256;
/** While nothing comes, the pause doubles up to this many intervals. */
const IDLE_INTERVALS_MAX = 2;
/** So full after one pause, the ring gets a shorter one. */
const FILL_MAX = 1 / 16;
const FULLER_PAUSES = 4;

export interface DrainLoopOptions {
  readonly intervalMs: number;
  /** How full the ring is, 0 to 1. */
  readonly fillRatio: () => number;
  /** Reads at most so many records; returns how many there were. */
  readonly drain: (recordsMax: number) => number;
  /** After each step and at the end of a turn: pass on what was made. */
  readonly flush: (isTurnOver: boolean) => void;
  readonly onTurn: () => void;
  /** A turn failed: a fault of ours. The loop goes on. */
  readonly onFailure: (error: unknown) => void;
}

/** Reads the ring on a timer while it is open. What is not read waits in the ring. */
export class DrainLoop {
  readonly #options: DrainLoopOptions;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #pauseMs: number;
  #isFilling = false;
  #isOpen = false;

  constructor(options: DrainLoopOptions) {
    this.#options = options;
    this.#pauseMs = options.intervalMs;
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#immediate = setImmediate(this.#turn);
  }

  close(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }

  readonly #turn = (): void => {
    let records = 0;
    let isMore = false;
    try {
      this.#options.onTurn();
      this.#isFilling = this.#options.fillRatio() > FILL_MAX;
      const deadlineMs = performance.now() + TURN_MAX_MS;
      do {
        const read = this.#options.drain(RECORDS_PER_STEP);
        records += read;
        isMore = read === RECORDS_PER_STEP;
        this.#options.flush(false);
      } while (isMore && this.#isOpen && performance.now() < deadlineMs);
      this.#options.flush(true);
    } catch (error) {
      this.#options.onFailure(error);
    }
    if (this.#isOpen) this.#schedule(records, isMore);
  };

  #schedule(records: number, isMore: boolean): void {
    if (isMore) {
      this.#immediate = setImmediate(this.#turn);
      return;
    }
    const { intervalMs } = this.#options;
    if (this.#isFilling) this.#pauseMs = intervalMs / FULLER_PAUSES;
    else if (records > 0) this.#pauseMs = intervalMs;
    else this.#pauseMs = Math.min(intervalMs * IDLE_INTERVALS_MAX, this.#pauseMs * 2);
    this.#timer = setTimeout(this.#turn, this.#pauseMs);
  }
}
