// SPDX-License-Identifier: Apache-2.0
import { Observable, type OperatorFunction } from "rxjs";
import type { Batch } from "../model/batch.ts";
import { joinReceipts } from "./receipt.ts";

export type BatchTrigger = "size" | "timeout" | "flush";

export interface TimedBatchOptions {
  /** Sends when so many items are held. */
  readonly itemsMin: number;
  /** Sends what is held so long after the first of it came; 0 sends each batch at once. */
  readonly timeoutMs: number;
  /** Bound on what is held, bytes: more is sent at once. */
  readonly bytesMax: number;
  /** No batch holds more items; 0 is no bound. Needs `split`. */
  readonly itemsMax?: number;
  /** Cuts a batch: the first `items` items, and the rest (undefined when none is left). */
  readonly split?: (batch: Batch, items: number) => readonly [Batch, Batch | undefined];
  /**
   * `settle` answers the producer when the batch is held, as the Collector's batch processor
   * does; `hold` leaves the receipt open until the joined batch has ended its way.
   */
  readonly receipts: "settle" | "hold";
  /** Called for every batch sent. */
  readonly onSend?: (batch: Batch, trigger: BatchTrigger) => void;
}

/** Joins batches until size or time is reached. Completion sends what is held. One timer at most. */
export function timedBatch(options: TimedBatchOptions): OperatorFunction<Batch, Batch> {
  return (input) =>
    new Observable<Batch>((subscriber) => {
      const held = new Held(options, (batch) => subscriber.next(batch));
      const subscription = input.subscribe({
        next: (batch) => held.add(batch),
        error: (error) => {
          held.send("flush");
          subscriber.error(error);
        },
        complete: () => {
          held.send("flush");
          subscriber.complete();
        },
      });
      subscription.add(() => held.stop());
      return subscription;
    });
}

class Held {
  readonly #options: TimedBatchOptions;
  readonly #emit: (batch: Batch) => void;
  #parts: Batch[] = [];
  #items = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TimedBatchOptions, emit: (batch: Batch) => void) {
    this.#options = options;
    this.#emit = emit;
  }

  add(batch: Batch): void {
    const { receipts, itemsMin, bytesMax, timeoutMs } = this.#options;
    if (receipts === "settle") batch.receipt?.settle({ kind: "accepted" });
    this.#keep(batch);
    if (timeoutMs === 0 || this.#items >= itemsMin || this.#bytes >= bytesMax) {
      this.send("size");
    } else {
      this.#timer ??= setTimeout(() => this.send("timeout"), timeoutMs);
    }
  }

  send(trigger: BatchTrigger): void {
    this.stop();
    const { itemsMax = 0, itemsMin, split } = this.#options;
    while (this.#items > 0) {
      let batch = joinBatches(this.#take(), this.#options.receipts === "hold");
      if (itemsMax > 0 && batch.items > itemsMax && split !== undefined) {
        const [head, rest] = split(batch, itemsMax);
        batch = head;
        if (rest !== undefined) this.#keep(rest);
      }
      this.#options.onSend?.(batch, trigger);
      this.#emit(batch);
      if (trigger === "size" && this.#items > 0 && this.#items < itemsMin) {
        this.#timer ??= setTimeout(() => this.send("timeout"), this.#options.timeoutMs);
        return;
      }
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #keep(batch: Batch): void {
    this.#parts.push(batch);
    this.#items += batch.items;
    this.#bytes += batch.bytes;
  }

  #take(): Batch[] {
    const parts = this.#parts;
    this.#parts = [];
    this.#items = 0;
    this.#bytes = 0;
    return parts;
  }
}

/** One batch out of several of one signal: the lists of chunks are joined, no byte is copied. */
export function joinBatches(parts: readonly Batch[], keepReceipts: boolean): Batch {
  const [first] = parts;
  if (first === undefined) throw new Error("joinBatches needs a batch");
  const receipt = keepReceipts ? joinReceipts(parts.map((part) => part.receipt)) : undefined;
  let items = 0;
  let bytes = 0;
  for (const part of parts) {
    items += part.items;
    bytes += part.bytes;
  }
  const joined = {
    signal: first.signal,
    chunks: parts.length === 1 ? first.chunks : parts.flatMap((part) => part.chunks),
    items,
    bytes,
  };
  return receipt === undefined ? joined : { ...joined, receipt };
}
