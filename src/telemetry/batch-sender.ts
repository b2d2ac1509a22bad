// SPDX-License-Identifier: Apache-2.0
import type { OwnProcessor } from "../config/telemetry-otlp.ts";

/** At shutdown there is no more time than this, whatever the configuration says. */
export const LAST_SENDING_MS = 5_000;

export interface BatchSenderOptions<Item> {
  readonly limits: Pick<
    OwnProcessor,
    "scheduleDelayMs" | "exportTimeoutMs" | "queueItemsMax" | "batchItemsMax"
  >;
  /** Rejects when the items did not arrive. */
  readonly send: (items: readonly Item[], abort: AbortSignal) => Promise<void>;
  readonly onDropped: (items: number, reason: "queue_full" | "send_failed", error: unknown) => void;
}

/** The OpenTelemetry SDK's batch processor: bounded, one sending at a time. */
export class BatchSender<Item> {
  readonly #options: BatchSenderOptions<Item>;
  readonly #stop = new AbortController();
  #queue: Item[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #closed = false;

  constructor(options: BatchSenderOptions<Item>) {
    this.#options = options;
  }

  add(item: Item): void {
    if (this.#closed) return;
    const { queueItemsMax, batchItemsMax, scheduleDelayMs } = this.#options.limits;
    if (this.#queue.length >= queueItemsMax) {
      this.#options.onDropped(1, "queue_full", undefined);
      return;
    }
    this.#queue.push(item);
    if (this.#sending !== undefined) return;
    if (this.#queue.length >= batchItemsMax) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), scheduleDelayMs).unref();
  }

  /** Sends what waits, in bounded time. */
  async shutdown(): Promise<void> {
    this.#closed = true;
    const lastMs = Math.min(this.#options.limits.exportTimeoutMs, LAST_SENDING_MS);
    const timer = setTimeout(() => this.#stop.abort(), lastMs);
    this.#flush();
    await this.#sending;
    clearTimeout(timer);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#sending !== undefined || this.#queue.length === 0) return;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
      if (this.#queue.length > 0 && !this.#closed) this.#flush();
    });
  }

  async #sendAll(): Promise<void> {
    const { batchItemsMax, exportTimeoutMs } = this.#options.limits;
    do {
      const items = this.#queue.splice(0, batchItemsMax);
      const abort = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(exportTimeoutMs)]);
      try {
        await this.#options.send(items, abort);
      } catch (error) {
        this.#options.onDropped(items.length, "send_failed", error);
      }
    } while (this.#queue.length >= batchItemsMax || (this.#closed && this.#queue.length > 0));
  }
}
