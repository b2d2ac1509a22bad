// SPDX-License-Identifier: Apache-2.0
import { BehaviorSubject, filter, type Observable } from "rxjs";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { itemName } from "../../src/pipeline/signal-items.ts";
import type { MemoryLimiterConfig } from "./config.ts";

const MIB = 1024 * 1024;
const SPIKE_PART = 0.2;

/** What the limiter asks of the process; a test gives its own. */
export interface Memory {
  /** Bytes in use by data: the JavaScript heap and buffers outside it. */
  used(): number;
  /** Bytes that the process may have at most. */
  total(): number;
  /** Collects garbage before it returns. */
  collect(): void;
  nowMs(): number;
}

const REFUSED: Outcome = {
  kind: "refused",
  retryable: true,
  message: "data refused due to high memory usage",
};

/**
 * Refuses data while memory is above limit - spike limit. Garbage is collected first, so that
 * what is refused is refused for data that is alive.
 */
export class MemoryLimiter implements Processor {
  readonly ready: BehaviorSubject<boolean> = new BehaviorSubject(true);
  readonly #settings: PipelineSettings;
  readonly #config: MemoryLimiterConfig;
  readonly #memory: Memory;
  readonly #limitBytes: number;
  readonly #softBytes: number;
  readonly #accepted: Counter;
  readonly #refused: Counter;
  #timer: NodeJS.Timeout | undefined;
  #collectedAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: PipelineSettings, config: MemoryLimiterConfig, memory: Memory) {
    this.#settings = settings;
    this.#config = config;
    this.#memory = memory;
    const { limitBytes, softBytes } = limitsOf(config, memory.total());
    this.#limitBytes = limitBytes;
    this.#softBytes = softBytes;
    const { name, unit } = itemName(settings.signal);
    const counter = (outcome: string, description: string): Counter =>
      settings.telemetry.counter(
        `otelcol_processor_memory_limiter_${outcome}_${name}`,
        { description, unit },
        { processor: settings.id },
      );
    this.#accepted = counter("accepted", `Number of ${name} let through.`);
    this.#refused = counter("refused", `Number of ${name} refused for want of memory.`);
  }

  async start(): Promise<void> {
    this.#settings.telemetry.logger.info("Memory limiter configured", {
      limit_mib: Math.floor(this.#limitBytes / MIB),
      spike_limit_mib: Math.floor((this.#limitBytes - this.#softBytes) / MIB),
      check_interval: `${this.#config.check_interval / 1000}s`,
    });
    this.check();
    this.#timer = setInterval(() => this.check(), this.#config.check_interval);
  }

  async shutdown(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  process(input: Observable<Batch>): Observable<Batch> {
    return input.pipe(filter((batch) => this.#passes(batch)));
  }

  #passes(batch: Batch): boolean {
    if (this.ready.value) {
      this.#accepted.add(batch.items);
      return true;
    }
    this.#refused.add(batch.items);
    batch.receipt?.settle(REFUSED);
    return false;
  }

  /** Measures, collects garbage if that is due, and opens or closes. */
  check(): void {
    let used = this.#memory.used();
    if (used > this.#softBytes && this.#isCollectionDue(used)) {
      this.#memory.collect();
      this.#collectedAtMs = this.#memory.nowMs();
      used = this.#memory.used();
    }
    const isOpen = used <= this.#softBytes;
    if (isOpen === this.ready.value) return;
    const { logger } = this.#settings.telemetry;
    const fields = { cur_mem_mib: Math.floor(used / MIB) };
    if (isOpen) {
      logger.info("Memory usage back within limits. Resuming normal operation.", fields);
    } else {
      logger.warn("Memory usage is above soft limit. Refusing data.", fields);
    }
    this.ready.next(isOpen);
  }

  #isCollectionDue(used: number): boolean {
    const { min_gc_interval_when_soft_limited: soft, min_gc_interval_when_hard_limited: hard } =
      this.#config;
    const waitMs = used > this.#limitBytes ? hard : soft;
    return this.#memory.nowMs() - this.#collectedAtMs >= waitMs;
  }
}

interface Limits {
  readonly limitBytes: number;
  /** Above it data is refused. */
  readonly softBytes: number;
}

/** The limits in bytes; `totalBytes` is what percentages are of. */
export function limitsOf(config: MemoryLimiterConfig, totalBytes: number): Limits {
  const isFixed = config.limit_mib > 0;
  const limitBytes = isFixed
    ? config.limit_mib * MIB
    : (config.limit_percentage / 100) * totalBytes;
  const set = isFixed
    ? config.spike_limit_mib * MIB
    : (config.spike_limit_percentage / 100) * totalBytes;
  const spikeBytes = set > 0 ? set : limitBytes * SPIKE_PART;
  return { limitBytes, softBytes: limitBytes - spikeBytes };
}
