// SPDX-License-Identifier: Apache-2.0
import type { Batch } from "../model/batch.ts";

export interface DelayLineOptions {
  /** 0: nothing waits. */
  readonly waitMs: number;
  readonly bytesMax: number;
  readonly itemsMax: number;
  readonly emit: (batch: Batch) => void;
  /** A batch goes on early for want of room. */
  readonly forcedOut: () => void;
}

interface Waiting {
  readonly batch: Batch;
  readonly dueMs: number;
}

/** Batches wait a fixed time, in order; bounded by their bytes and items. */
export class DelayLine {
  readonly #options: DelayLineOptions;
  #waiting: Waiting[] = [];
  #first = 0;
  #bytes = 0;
  #items = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DelayLineOptions) {
    this.#options = options;
  }

  add(batch: Batch): void {
    const { waitMs, bytesMax, itemsMax, emit, forcedOut } = this.#options;
    if (waitMs === 0) {
      emit(batch);
      return;
    }
    this.#waiting.push({ batch, dueMs: performance.now() + waitMs });
    this.#bytes += batch.bytes;
    this.#items += batch.items;
    while (this.#bytes > bytesMax || this.#items > itemsMax) {
      forcedOut();
      this.#emitFirst();
    }
    this.#arm();
  }

  /** All that waits goes on now. */
  finish(): void {
    this.stop();
    while (this.#first < this.#waiting.length) this.#emitFirst();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    const next = this.#waiting[this.#first];
    if (this.#timer !== undefined || next === undefined) return;
    const waitMs = Math.max(1, next.dueMs - performance.now());
    this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #tick(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (let next = this.#waiting[this.#first]; next !== undefined && next.dueMs <= nowMs; ) {
      this.#emitFirst();
      next = this.#waiting[this.#first];
    }
    this.#arm();
  }

  #emitFirst(): void {
    const next = this.#waiting[this.#first++];
    if (this.#first === this.#waiting.length || this.#first > 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    if (next === undefined) return;
    this.#bytes -= next.batch.bytes;
    this.#items -= next.batch.items;
    this.#options.emit(next.batch);
  }
}
