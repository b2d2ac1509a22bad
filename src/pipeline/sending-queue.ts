// SPDX-License-Identifier: Apache-2.0
import { BehaviorSubject, type Observable, of } from "rxjs";
import type { Batch } from "../model/batch.ts";

export interface QueueLimits {
  readonly sizer: "requests" | "items" | "bytes";
  /** Capacity in units of `sizer`. */
  readonly sizeMax: number;
  /** Bound on the memory held, whatever `sizer` counts. */
  readonly bytesMax: number;
  /** Batches sent at the same time. */
  readonly concurrency: number;
  /** Close the valve before the queue is full. */
  readonly blocking: boolean;
  /** Send several batches together. */
  readonly grouping?: Grouping;
}

export interface Grouping {
  readonly sizer: "items" | "bytes";
  /** Wait for so much. */
  readonly sizeMin: number;
  /** Take no more together; 0 is no bound. One larger batch goes alone. */
  readonly sizeMax: number;
  /** But not longer than this. */
  readonly timeoutMs: number;
}

/** `too_large` fits into no empty queue; `closed` after `close`; `failed`: the store refused. */
export type OfferResult = "accepted" | "full" | "too_large" | "closed" | "failed";

/** Where batches wait in place of memory. */
export interface BatchStore {
  /** Throws when it cannot be kept. */
  put(batch: Batch): StoredBatch;
}

/** A batch that waits. */
export interface StoredBatch {
  readonly items: number;
  readonly bytes: number;
  /** Undefined: it cannot be read any more, which was said. */
  load(): Batch | undefined;
  /** It has ended its way. */
  remove(): void;
}

/** `kept`: it has not ended its way, and is to stay where it is stored. */
export type Sent = "ended" | "kept";

const CLOSE_AT = 3 / 4;
const RESUME_AT = 1 / 2;
const COMPACT_AFTER = 1024;

type Sized = Pick<Batch, "items" | "bytes">;

interface Slot {
  readonly stored: StoredBatch;
  readonly atMs: number;
}

const MEMORY: BatchStore = {
  put: (batch) => ({
    items: batch.items,
    bytes: batch.bytes,
    load: () => batch,
    remove: () => undefined,
  }),
};

/**
 * The place before the network where a batch waits. Bounded in units and bytes; batches being
 * sent still count. `ready` of a blocking queue closes at three quarters, so that what is
 * already under way finds room, and opens again at half.
 */
export class SendingQueue {
  readonly #limits: QueueLimits;
  readonly #send: (group: readonly Batch[]) => Promise<Sent>;
  #store: BatchStore = MEMORY;
  readonly #gate = new BehaviorSubject(true);
  #slots: (Slot | undefined)[] = [];
  #head = 0;
  #size = 0;
  #bytes = 0;
  #sending = 0;
  /** Size of what waits, by the grouping's sizer. */
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #idle: (() => void)[] = [];
  /** False while accepting would refuse; always true when the queue does not block. */
  readonly ready: Observable<boolean>;

  /** `send` gets one batch, or a group, and must not reject: what becomes of it is its matter. */
  constructor(limits: QueueLimits, send: (group: readonly Batch[]) => Promise<Sent>) {
    this.#limits = limits;
    this.#send = send;
    this.ready = limits.blocking ? this.#gate.asObservable() : of(true);
  }

  /** Queued and being sent, in units of `sizer`. */
  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Batches being sent. */
  get sending(): number {
    return this.#sending;
  }

  /** From now on batches wait in `store`, after those that it holds from before. */
  useStore(store: BatchStore, left: readonly StoredBatch[]): void {
    this.#store = store;
    for (const stored of left) this.#add(stored);
    this.#pump();
    this.#updateGate();
  }

  /** Throws nothing; `failed` has its reason in `onFailure`. */
  offer(batch: Batch, onFailure?: (error: unknown) => void): OfferResult {
    if (this.#closed) return "closed";
    const size = this.#sizeOf(batch);
    const { sizeMax, bytesMax } = this.#limits;
    if (size > sizeMax || batch.bytes > bytesMax) return "too_large";
    if (this.#size + size > sizeMax || this.#bytes + batch.bytes > bytesMax) return "full";
    try {
      this.#add(this.#store.put(batch));
    } catch (error) {
      onFailure?.(error);
      return "failed";
    }
    this.#pump();
    this.#updateGate();
    return "accepted";
  }

  #add(stored: StoredBatch): void {
    this.#size += this.#sizeOf(stored);
    this.#bytes += stored.bytes;
    this.#waiting += this.#groupSizeOf(stored);
    this.#slots.push({ stored, atMs: performance.now() });
  }

  /** Takes nothing more; what is queued is still sent. */
  close(): void {
    this.#closed = true;
    this.#pump();
  }

  /** Resolves when nothing is queued or being sent. */
  drained(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Gives up what waits: takes it out and returns it. Batches being sent are not among them. */
  discard(): StoredBatch[] {
    clearTimeout(this.#timer);
    const left = this.#slots.slice(this.#head).flatMap((slot) => slot?.stored ?? []);
    this.#slots = [];
    this.#head = 0;
    this.#waiting = 0;
    for (const stored of left) this.#release(stored);
    this.#wakeIdle();
    return left;
  }

  #sizeOf({ items, bytes }: Sized): number {
    const { sizer } = this.#limits;
    return sizer === "requests" ? 1 : sizer === "items" ? items : bytes;
  }

  #groupSizeOf({ items, bytes }: Sized): number {
    return this.#limits.grouping?.sizer === "bytes" ? bytes : items;
  }

  #pump(): void {
    while (this.#sending < this.#limits.concurrency) {
      const group = this.#takeGroup();
      if (group.length === 0) break;
      this.#sending++;
      void this.#sendGroup(group);
    }
    if (this.#head === this.#slots.length) {
      clearTimeout(this.#timer);
      this.#slots.length = 0;
      this.#head = 0;
    } else if (this.#head > COMPACT_AFTER && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }

  /** What is to be sent now, oldest first; empty when nothing waits or it should wait for more. */
  #takeGroup(): StoredBatch[] {
    const first = this.#slots[this.#head];
    if (first === undefined) return [];
    const { grouping } = this.#limits;
    if (grouping === undefined) return [this.#take(first)];
    const leftMs = first.atMs + grouping.timeoutMs - performance.now();
    if (this.#waiting < grouping.sizeMin && leftMs > 0 && !this.#closed) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#pump(), Math.ceil(leftMs));
      return [];
    }
    const group: StoredBatch[] = [];
    let size = 0;
    for (;;) {
      const slot = this.#slots[this.#head];
      if (slot === undefined || (size > 0 && size >= grouping.sizeMin)) return group;
      const next = this.#groupSizeOf(slot.stored);
      if (grouping.sizeMax > 0 && size > 0 && size + next > grouping.sizeMax) return group;
      group.push(this.#take(slot));
      size += next;
    }
  }

  #take({ stored }: Slot): StoredBatch {
    this.#slots[this.#head++] = undefined;
    this.#waiting -= this.#groupSizeOf(stored);
    return stored;
  }

  async #sendGroup(group: readonly StoredBatch[]): Promise<void> {
    try {
      const batches = group.map((stored) => stored.load()).filter((batch) => batch !== undefined);
      const sent = batches.length === 0 ? "ended" : await this.#send(batches);
      if (sent === "ended") for (const stored of group) stored.remove();
    } finally {
      this.#sending--;
      for (const stored of group) this.#release(stored);
      this.#pump();
      this.#wakeIdle();
    }
  }

  #release(stored: StoredBatch): void {
    this.#size -= this.#sizeOf(stored);
    this.#bytes -= stored.bytes;
    this.#updateGate();
  }

  #isIdle(): boolean {
    return this.#sending === 0 && this.#head === this.#slots.length;
  }

  #wakeIdle(): void {
    if (!this.#isIdle()) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  #updateGate(): void {
    if (!this.#limits.blocking) return;
    const { sizeMax, bytesMax } = this.#limits;
    const fill = Math.max(this.#size / sizeMax, this.#bytes / bytesMax);
    if (this.#gate.value ? fill >= CLOSE_AT : fill <= RESUME_AT) this.#gate.next(!this.#gate.value);
  }
}
