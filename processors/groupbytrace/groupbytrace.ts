// SPDX-License-Identifier: Apache-2.0
import { Observable } from "rxjs";
import { type Piece, TraceRegrouper } from "../../src/attributes/trace-regrouper.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createFailures } from "../../src/pipeline/per-batch.ts";
import type { GroupByTraceConfig } from "./config.ts";

const TICK_MS = 100;

interface Trace {
  readonly chunks: Uint8Array[];
  spans: number;
  bytes: number;
  readonly releaseAtMs: number;
}

/** Joins the spans of each trace that come within a time into one batch. */
export class GroupByTrace implements Processor {
  readonly #config: GroupByTraceConfig;
  readonly #traces = new Map<string, Trace>();
  readonly #regrouper = new TraceRegrouper();
  readonly #failures: ReturnType<typeof createFailures>;
  readonly #released: Counter;
  readonly #evicted: Counter;
  readonly #stopGauge: () => void;
  #emit: ((batch: Batch) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: PipelineSettings, config: GroupByTraceConfig) {
    const { telemetry, id } = settings;
    this.#config = config;
    this.#failures = createFailures(settings);
    const labels = { processor: id };
    const unit = "{traces}";
    this.#released = telemetry.counter(
      "otelcol_processor_groupbytrace_traces_released",
      { description: "Traces released to the next consumer.", unit },
      labels,
    );
    this.#evicted = telemetry.counter(
      "otelcol_processor_groupbytrace_traces_evicted",
      { description: "Traces evicted from the internal buffer.", unit },
      labels,
    );
    this.#stopGauge = telemetry.gauge(
      "otelcol_processor_groupbytrace_num_traces_in_memory",
      { description: "Number of traces currently in the in-memory storage.", unit },
      () => this.#traces.size,
      labels,
    );
  }

  async start(): Promise<void> {
    const periodMs = Math.max(1, Math.min(TICK_MS, this.#config.wait_duration));
    this.#timer = setInterval(() => this.#release(Date.now()), periodMs);
  }

  async shutdown(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stopGauge();
  }

  process(input: Observable<Batch>): Observable<Batch> {
    return new Observable<Batch>((subscriber) => {
      this.#emit = (batch) => subscriber.next(batch);
      return input.subscribe({
        next: (batch) => this.#take(batch),
        error: (error) => subscriber.error(error),
        complete: () => {
          this.#release(Number.POSITIVE_INFINITY);
          this.#emit = undefined;
          subscriber.complete();
        },
      });
    });
  }

  #take(batch: Batch): void {
    let pieces: Piece[];
    try {
      pieces = batch.chunks.flatMap((chunk) => this.#regrouper.pieces(chunk));
    } catch (error) {
      this.#failures(batch, error);
      return;
    }
    batch.receipt?.settle({ kind: "accepted" });
    const releaseAtMs = Date.now() + this.#config.wait_duration;
    for (const { id, bytes, spans } of pieces) {
      let trace = this.#traces.get(id);
      if (trace === undefined) {
        if (this.#traces.size >= this.#config.num_traces) this.#evictOldest();
        trace = { chunks: [], spans: 0, bytes: 0, releaseAtMs };
        this.#traces.set(id, trace);
      }
      trace.chunks.push(bytes);
      trace.spans += spans;
      trace.bytes += bytes.length;
    }
  }

  /** Nothing is lost: the trace goes on, perhaps without its last spans. */
  #evictOldest(): void {
    for (const [id, trace] of this.#traces) {
      this.#evicted.add(1);
      this.#send(id, trace);
      return;
    }
  }

  /** All traces wait equally long, so the first that may not go yet is the last to look at. */
  #release(untilMs: number): void {
    for (const [id, trace] of this.#traces) {
      if (trace.releaseAtMs > untilMs) return;
      this.#send(id, trace);
    }
  }

  #send(id: string, { chunks, spans, bytes }: Trace): void {
    this.#traces.delete(id);
    this.#released.add(1);
    this.#emit?.({ signal: "traces", chunks, items: spans, bytes });
  }
}
