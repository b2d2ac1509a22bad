// SPDX-License-Identifier: Apache-2.0
import type { Observable } from "rxjs";
import type { Exporter, ExporterSettings, Host } from "../component/component.ts";
import { AgentError, messageOf } from "../component/errors.ts";
import { isStorage, type Journal } from "../component/storage.ts";
import type { Counter } from "../component/telemetry.ts";
import type { Batch } from "../model/batch.ts";
import { splitBatch } from "../pdata/split.ts";
import type { RetryConfig, SendingQueueConfig } from "./export-config.ts";
import { JournalStore } from "./journal-store.ts";
import { splitReceipt } from "./receipt.ts";
import { isRetryable, withRetry, withTimeout } from "./retry.ts";
import {
  type Grouping,
  type OfferResult,
  type QueueLimits,
  SendingQueue,
  type Sent,
} from "./sending-queue.ts";
import { itemName } from "./signal-items.ts";
import { ThrottledLog } from "./throttled-log.ts";
import { joinBatches } from "./timed-batch.ts";

export {
  type RetryConfig,
  retrySchema,
  type SendingQueueConfig,
  sendingQueueSchema,
  timeoutSchema,
} from "./export-config.ts";

const MIB = 1024 ** 2;
/** Without a sending queue: exports under way at the same time. */
const DIRECT_IN_FLIGHT_MAX = 64;
const DIRECT_LIMITS: QueueLimits = {
  sizer: "requests",
  sizeMax: DIRECT_IN_FLIGHT_MAX,
  bytesMax: 256 * MIB,
  concurrency: DIRECT_IN_FLIGHT_MAX,
  blocking: true,
};

export interface ExportHelperConfig {
  /** Of one attempt; 0 is none. */
  readonly timeoutMs: number;
  readonly sendingQueue: SendingQueueConfig;
  readonly retryOnFailure: RetryConfig;
}

/**
 * Sends one batch. Resolves when the other side has it. Rejects with an `AgentError`
 * (`BS_EXPORT`): `retryable: false` is permanent, `retryAfterMs` is the server's throttle;
 * any other error is tried again. `signal` aborts at the timeout and at the end of shutdown.
 */
export type Push = (batch: Batch, signal: AbortSignal) => Promise<void>;

export interface ExportHooks {
  /** Before the first push. Reject on what a human must see. */
  start?(host: Host): Promise<void>;
  /** After the last push: close connections. */
  shutdown?(): Promise<void>;
}

/**
 * The Collector's exporter helper: queue, retry, timeout, then `push`. Counts sent and failed
 * items (the topology counts what `accept` refuses), and settles receipts: with a queue as soon as the batch is queued (unless
 * `wait_for_result`), without one when it is delivered or lost.
 */
export function createQueuedExporter(
  settings: ExporterSettings,
  config: ExportHelperConfig,
  push: Push,
  hooks: ExportHooks = {},
): Exporter {
  return new QueuedExporter(settings, config, push, hooks);
}

class QueuedExporter implements Exporter {
  readonly ready: Observable<boolean>;
  readonly #settings: ExporterSettings;
  readonly #config: ExportHelperConfig;
  readonly #push: Push;
  #journal: Journal | undefined;
  readonly #hooks: ExportHooks;
  readonly #queue: SendingQueue;
  readonly #grouping: Grouping | undefined;
  readonly #log: ThrottledLog;
  readonly #stopRetries = new AbortController();
  readonly #abort = new AbortController();
  readonly #counts: ExportCounters;
  readonly #gauges: (() => void)[];
  #shutdown: Promise<void> | undefined;

  constructor(
    settings: ExporterSettings,
    config: ExportHelperConfig,
    push: Push,
    hooks: ExportHooks,
  ) {
    this.#settings = settings;
    this.#config = config;
    this.#push = push;
    this.#hooks = hooks;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    const { sendingQueue } = config;
    const limits = sendingQueue.enabled ? queueLimits(sendingQueue) : DIRECT_LIMITS;
    this.#queue = new SendingQueue(limits, (group) => this.#deliverGroup(group));
    this.#grouping = limits.grouping;
    this.ready = this.#queue.ready;
    this.#counts = createCounters(settings);
    this.#gauges = sendingQueue.enabled ? createGauges(settings, this.#queue, limits.sizeMax) : [];
  }

  async start(host: Host): Promise<void> {
    await this.#hooks.start?.(host);
    const { storage } = this.#config.sendingQueue;
    if (storage !== undefined) await this.#openStorage(host, storage);
  }

  async #openStorage(host: Host, id: string): Promise<void> {
    const extension = host.extension(id);
    if (!isStorage(extension)) {
      const what = extension === undefined ? "there is no extension" : "no storage is extension";
      throw new AgentError(
        "BS_START",
        `sending_queue: storage: ${what} "${id}". Add file_storage to extensions and to ` +
          "service::extensions, and name it here.",
      );
    }
    const { id: own, signal } = this.#settings;
    this.#journal = await extension.openJournal({ kind: "exporter", id: own, name: signal });
    const store = new JournalStore(this.#journal, signal, (items) => {
      this.#counts.dropped("unreadable").add(items);
      this.#log.write("error", "A stored batch cannot be read any more. Dropping data.", {
        dropped_items: items,
      });
    });
    const left = store.left();
    if (left.length > 0) {
      this.#log.write("info", "Sending what was left in the queue", { requests: left.length });
    }
    this.#queue.useStore(store, left);
  }

  accept(batch: Batch): boolean {
    let failure = "";
    const result = this.#queue.offer(batch, (error) => {
      failure = messageOf(error);
    });
    if (result !== "accepted") {
      this.#refuse(batch, result, failure);
      return false;
    }
    if (this.#settlesWhenQueued()) this.#settleQueued(batch);
    return true;
  }

  shutdown(signal: AbortSignal): Promise<void> {
    this.#shutdown ??= this.#drainAndStop(signal);
    return this.#shutdown;
  }

  #settlesWhenQueued(): boolean {
    const { enabled, wait_for_result: waits } = this.#config.sendingQueue;
    return enabled && !waits;
  }

  /** The sender is answered when the queue is sure to have it: with `fsync`, when the disk has. */
  #settleQueued({ receipt }: Batch): void {
    if (receipt === undefined) return;
    if (this.#journal === undefined) {
      receipt.settle({ kind: "accepted" });
      return;
    }
    this.#journal.synced().then(
      () => receipt.settle({ kind: "accepted" }),
      (error) => receipt.settle({ kind: "refused", retryable: true, message: messageOf(error) }),
    );
  }

  #refuse(batch: Batch, result: Exclude<OfferResult, "accepted">, failure: string): void {
    const error = {
      failed: `the storage of the sending queue refuses: ${failure}`,
      full: "sending queue is full",
      too_large: "element size too large",
      closed: "the exporter is shut down",
    }[result];
    this.#log.write("error", "Exporting failed. Rejecting data.", {
      error,
      rejected_items: batch.items,
    });
  }

  async #deliverGroup(group: readonly Batch[]): Promise<Sent> {
    const { batch: config } = this.#config.sendingQueue;
    let sent: Sent = "ended";
    if (config === undefined || group.length === 0) {
      for (const batch of group) if ((await this.#deliver(batch)) === "kept") sent = "kept";
      return sent;
    }
    const joined = joinBatches(group, true);
    const parts = cutToSize(joined, config.max_size, this.#grouping?.sizer ?? "items");
    const receipts = joined.receipt === undefined ? [] : splitReceipt(joined.receipt, parts.length);
    for (const [at, part] of parts.entries()) {
      const receipt = receipts[at];
      const isKept =
        (await this.#deliver(receipt === undefined ? part : { ...part, receipt })) === "kept";
      if (isKept) sent = "kept";
    }
    return sent;
  }

  async #deliver(batch: Batch): Promise<Sent> {
    const { id, signal, telemetry } = this.#settings;
    const span = telemetry.tracer?.start(`exporter/${id}/${signal}`, { exporter: id });
    try {
      await withRetry(
        this.#config.retryOnFailure,
        {
          abort: this.#abort.signal,
          stopRetries: this.#stopRetries.signal,
          random: Math.random,
          onRetry: (error, delayMs) => this.#logRetry(error, delayMs),
        },
        () =>
          withTimeout(this.#config.timeoutMs, this.#abort.signal, (signal) =>
            this.#push(batch, signal),
          ),
      );
    } catch (error) {
      span?.end({ "items.sent": 0, "items.failed": batch.items }, messageOf(error));
      const isCutShort = this.#stopRetries.signal.aborted && isRetryable(error);
      if (isCutShort && this.#journal !== undefined) return "kept";
      this.#lose(batch, error);
      return "ended";
    }
    span?.end({ "items.sent": batch.items, "items.failed": 0 });
    this.#counts.sent.add(batch.items);
    batch.receipt?.settle({ kind: "accepted" });
    return "ended";
  }

  #logRetry(error: unknown, delayMs: number): void {
    this.#log.write("info", "Exporting failed. Will retry the request after interval.", {
      error: messageOf(error),
      interval: `${(delayMs / 1000).toFixed(3)}s`,
    });
  }

  #lose(batch: Batch, error: unknown): void {
    const message = messageOf(error);
    const { sendingQueue, retryOnFailure } = this.#config;
    const reason = this.#stopRetries.signal.aborted
      ? "shutdown"
      : isRetryable(error)
        ? "retries_exhausted"
        : "permanent_error";
    this.#counts.sendFailed.add(batch.items);
    this.#counts.dropped(reason).add(batch.items);
    if (sendingQueue.enabled) {
      const advice = retryOnFailure.enabled
        ? ""
        : " Try enabling retry_on_failure config option to retry on retryable errors.";
      this.#log.write("error", `Exporting failed. Dropping data.${advice}`, {
        error: message,
        dropped_items: batch.items,
      });
    } else {
      this.#log.write(
        "error",
        "Exporting failed. Rejecting data. Try enabling sending_queue to survive temporary failures.",
        { error: message, rejected_items: batch.items },
      );
    }
    batch.receipt?.settle({ kind: "refused", retryable: isRetryable(error), message });
  }

  async #drainAndStop(signal: AbortSignal): Promise<void> {
    this.#queue.close();
    this.#stopRetries.abort();
    const giveUp = (): void => {
      const left = this.#queue.discard();
      // What is in a journal is sent after the next start.
      for (const stored of this.#journal === undefined ? left : []) {
        const batch = stored.load();
        const error = new Error("dropped at shutdown: no time left to send it");
        if (batch !== undefined) this.#lose(batch, error);
      }
      this.#abort.abort();
    };
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
    await this.#queue.drained();
    signal.removeEventListener("abort", giveUp);
    await this.#hooks.shutdown?.();
    this.#journal?.close();
    for (const remove of this.#gauges) remove();
  }
}

function queueLimits(config: SendingQueueConfig): QueueLimits {
  const { batch, sizer } = config;
  const limits = {
    sizer,
    sizeMax: config.queue_size,
    // What is stored needs no memory.
    bytesMax: config.storage === undefined ? config.limit_mib * MIB : Number.POSITIVE_INFINITY,
    concurrency: config.num_consumers,
    blocking: config.block_on_overflow,
  };
  if (batch === undefined) return limits;
  const grouping = {
    sizer: batch.sizer ?? (sizer === "bytes" ? "bytes" : "items"),
    sizeMin: batch.min_size,
    sizeMax: batch.max_size,
    timeoutMs: batch.flush_timeout,
  } as const;
  return { ...limits, grouping };
}

/** Parts of at most `sizeMax` (0: one part); a cut in bytes is as near as whole items allow. */
function cutToSize(batch: Batch, sizeMax: number, sizer: "items" | "bytes"): Batch[] {
  const size = sizer === "bytes" ? batch.bytes : batch.items;
  if (sizeMax === 0 || size <= sizeMax) return [batch];
  const share = sizer === "bytes" ? Math.floor((batch.items * sizeMax) / size) : sizeMax;
  const itemsMax = Math.max(1, share);
  const parts: Batch[] = [];
  let rest: Batch | undefined = batch;
  while (rest !== undefined) {
    const [head, tail]: readonly [Batch, Batch | undefined] = splitBatch(rest, itemsMax);
    parts.push(head);
    rest = tail;
  }
  return parts;
}

interface ExportCounters {
  readonly sent: Counter;
  readonly sendFailed: Counter;
  dropped(reason: string): Counter;
}

function createCounters(settings: ExporterSettings): ExportCounters {
  const { name, unit } = itemName(settings.signal);
  const labels = { exporter: settings.id };
  const { telemetry } = settings;
  return {
    sent: telemetry.counter(
      `otelcol_exporter_sent_${name}`,
      { description: `Number of ${name} successfully sent to destination.`, unit },
      labels,
    ),
    sendFailed: telemetry.counter(
      `otelcol_exporter_send_failed_${name}`,
      { description: `Number of ${name} in failed attempts to send to destination.`, unit },
      labels,
    ),
    dropped: (reason) =>
      telemetry.counter(
        `backstitch_exporter_dropped_${name}`,
        { description: `Number of ${name} taken and lost, by reason.`, unit },
        { ...labels, reason },
      ),
  };
}

function createGauges(
  settings: ExporterSettings,
  queue: SendingQueue,
  capacity: number,
): (() => void)[] {
  const labels = { exporter: settings.id, data_type: settings.signal };
  const { telemetry } = settings;
  const gauge = (name: string, description: string, unit: string, read: () => number) =>
    telemetry.gauge(`otelcol_exporter_${name}`, { description, unit }, read, labels);
  return [
    gauge("queue_size", "Current size of the sending queue.", "{batch}", () => queue.size),
    gauge("queue_capacity", "Fixed capacity of the sending queue.", "{batch}", () => capacity),
    gauge("in_flight_requests", "Requests being sent.", "{request}", () => queue.sending),
  ];
}
