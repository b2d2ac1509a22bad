// SPDX-License-Identifier: Apache-2.0
/** What the tests of several folders share: batches that know what became of them. */
import type { Batch, Outcome, Signal } from "../model/batch.ts";
import { createReceipt } from "./receipt.ts";

/** A batch of `items` items in one chunk of `bytes` bytes. */
export function batchOf(items: number, bytes: number = items, signal: Signal = "traces"): Batch {
  return { signal, chunks: [new Uint8Array(bytes)], items, bytes };
}

export interface Watched {
  readonly batch: Batch;
  /** Undefined until the receipt is settled. */
  outcome(): Outcome | undefined;
}

export function watchedBatch(items: number, bytes: number = items): Watched {
  let settled: Outcome | undefined;
  const receipt = createReceipt((outcome) => {
    settled = outcome;
  });
  return { batch: { ...batchOf(items, bytes), receipt }, outcome: () => settled };
}

export function sleepMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
