// SPDX-License-Identifier: Apache-2.0
import type { Journal, JournalEntry } from "../component/storage.ts";
import type { Batch, Signal } from "../model/batch.ts";
import type { BatchStore, StoredBatch } from "./sending-queue.ts";

/** Batches that were just written stay in memory up to so much: most are sent at once. */
const RECENT_BYTES_MAX = 16 << 20;

/** Batches of one signal in a journal: they outlive the process. */
export class JournalStore implements BatchStore {
  readonly #journal: Journal;
  readonly #signal: Signal;
  readonly #onUnreadable: (items: number) => void;
  #recentBytes = 0;

  constructor(journal: Journal, signal: Signal, onUnreadable: (items: number) => void) {
    this.#journal = journal;
    this.#signal = signal;
    this.#onUnreadable = onUnreadable;
  }

  /** What an earlier process has left, oldest first. */
  left(): readonly StoredBatch[] {
    return this.#journal.entries().map((entry) => this.#stored(entry, undefined));
  }

  put(batch: Batch): StoredBatch {
    const entry = this.#journal.append(batch.chunks, batch.items);
    const isRecent = this.#recentBytes + batch.bytes <= RECENT_BYTES_MAX;
    if (isRecent) this.#recentBytes += batch.bytes;
    return this.#stored(entry, isRecent ? batch : undefined);
  }

  #stored(entry: JournalEntry, batch: Batch | undefined): StoredBatch {
    let recent = batch;
    const load = (): Batch | undefined => {
      if (recent !== undefined) return recent;
      const bytes = this.#journal.read(entry);
      if (bytes !== undefined) {
        return { signal: this.#signal, chunks: [bytes], items: entry.tag, bytes: entry.bytes };
      }
      this.#onUnreadable(entry.tag);
      return undefined;
    };
    const remove = (): void => {
      if (recent !== undefined) this.#recentBytes -= entry.bytes;
      recent = undefined;
      this.#journal.remove(entry);
    };
    return { items: entry.tag, bytes: entry.bytes, load, remove };
  }
}
