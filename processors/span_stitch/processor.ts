// SPDX-License-Identifier: Apache-2.0
import { Observable, type Subscriber } from "rxjs";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createFailures } from "../../src/pipeline/per-batch.ts";
import type { SpanStitchConfig } from "./config.ts";
import { type Clock, SpanStitch } from "./span-stitch.ts";

/**
 * One timer for all waits, and only while a span is held: at the next due time, no sooner than
 * this. While batches come they move on what is due, and the timer finds nothing but the next.
 */
const TICK_MS = 20;

const monotonicClock: Clock = { nowMs: () => performance.now() };

/** `clock` is for tests: milliseconds that never run backwards. */
export function createSpanStitch(
  settings: PipelineSettings,
  config: SpanStitchConfig,
  clock: Clock = monotonicClock,
): Processor {
  const stitch = new SpanStitch(settings, config, clock);
  return {
    start: async () => {},
    shutdown: async () => stitch.unpublish(),
    process: (input) =>
      new Observable<Batch>((subscriber) => {
        const run = new Run(stitch, settings, subscriber);
        const subscription = input.subscribe({
          next: (batch) => run.add(batch),
          error: (error) => {
            run.finish();
            subscriber.error(error);
          },
          complete: () => {
            run.finish();
            subscriber.complete();
          },
        });
        subscription.add(() => run.stop());
        return subscription;
      }),
  };
}

/** The stream around the stitching: batches, the timer, and that a throw costs one batch. */
class Run {
  readonly #stitch: SpanStitch;
  readonly #subscriber: Subscriber<Batch>;
  readonly #failed: (batch: Batch | undefined, error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = 0;

  constructor(stitch: SpanStitch, settings: PipelineSettings, subscriber: Subscriber<Batch>) {
    this.#stitch = stitch;
    this.#subscriber = subscriber;
    this.#failed = createFailures(settings);
  }

  add(batch: Batch): void {
    let passed: Batch | undefined;
    try {
      passed = this.#stitch.add(batch);
    } catch (error) {
      this.#failed(batch, error);
    }
    if (passed !== undefined) this.#subscriber.next(passed);
    this.#emit();
    this.#arm();
  }

  /** The input ended: everything that is held goes out. */
  finish(): void {
    this.stop();
    let isMore = true;
    while (isMore) {
      try {
        isMore = this.#stitch.finishSome();
      } catch (error) {
        isMore = false;
        this.#failed(undefined, error);
      }
      this.#emit();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    if (this.#stitch.held === 0) return;
    const waitMs = Math.max(this.#stitch.nextDueMs, TICK_MS);
    const atMs = performance.now() + waitMs;
    if (this.#timer !== undefined && this.#timerAtMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #tick(): void {
    this.#timer = undefined;
    try {
      this.#stitch.turn();
    } catch (error) {
      this.#failed(undefined, error);
    }
    this.#emit();
    this.#arm();
  }

  #emit(): void {
    for (const batch of this.#stitch.takeBatches()) this.#subscriber.next(batch);
  }
}
