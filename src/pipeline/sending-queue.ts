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
}

/** `too_large` fits into no empty queue; `closed` after `close`. */
export type OfferResult = "accepted" | "full" | "too_large" | "closed";

const CLOSE_AT = 3 / 4;
const RESUME_AT = 1 / 2;
const COMPACT_AFTER = 1024;

/**
 * The place before the network where a batch waits. Bounded in units and bytes; batches being
 * sent still count. `ready` of a blocking queue closes at three quarters, so that what is
 * already under way finds room, and opens again at half.
 */
export class SendingQueue {
  readonly #limits: QueueLimits;
  readonly #send: (batch: Batch) => Promise<void>;
  readonly #gate = new BehaviorSubject(true);
  #slots: (Batch | undefined)[] = [];
  #head = 0;
  #size = 0;
  #bytes = 0;
  #sending = 0;
  #closed = false;
  #idle: (() => void)[] = [];
  /** False while accepting would refuse; always true when the queue does not block. */
  readonly ready: Observable<boolean>;

  /** `send` must not reject: what becomes of the batch is its own matter. */
  constructor(limits: QueueLimits, send: (batch: Batch) => Promise<void>) {
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

  offer(batch: Batch): OfferResult {
    if (this.#closed) return "closed";
    const size = this.#sizeOf(batch);
    const { sizeMax, bytesMax } = this.#limits;
    if (size > sizeMax || batch.bytes > bytesMax) return "too_large";
    if (this.#size + size > sizeMax || this.#bytes + batch.bytes > bytesMax) return "full";
    this.#size += size;
    this.#bytes += batch.bytes;
    this.#slots.push(batch);
    this.#pump();
    this.#updateGate();
    return "accepted";
  }

  /** Takes nothing more; what is queued is still sent. */
  close(): void {
    this.#closed = true;
  }

  /** Resolves when nothing is queued or being sent. */
  drained(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Gives up what waits: takes it out and returns it. Batches being sent are not among them. */
  discard(): Batch[] {
    const left = this.#slots.slice(this.#head).filter((batch) => batch !== undefined);
    this.#slots = [];
    this.#head = 0;
    for (const batch of left) this.#release(batch);
    this.#wakeIdle();
    return left;
  }

  #sizeOf(batch: Batch): number {
    const { sizer } = this.#limits;
    return sizer === "requests" ? 1 : sizer === "items" ? batch.items : batch.bytes;
  }

  #pump(): void {
    while (this.#sending < this.#limits.concurrency && this.#head < this.#slots.length) {
      const batch = this.#slots[this.#head];
      this.#slots[this.#head++] = undefined;
      if (batch === undefined) continue;
      this.#sending++;
      void this.#sendOne(batch);
    }
    if (this.#head === this.#slots.length) {
      this.#slots.length = 0;
      this.#head = 0;
    } else if (this.#head > COMPACT_AFTER && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }

  async #sendOne(batch: Batch): Promise<void> {
    try {
      await this.#send(batch);
    } finally {
      this.#sending--;
      this.#release(batch);
      this.#pump();
      this.#wakeIdle();
    }
  }

  #release(batch: Batch): void {
    this.#size -= this.#sizeOf(batch);
    this.#bytes -= batch.bytes;
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
