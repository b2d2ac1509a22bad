// SPDX-License-Identifier: Apache-2.0
import { Observable } from "rxjs";
import { type Piece, TraceRegrouper } from "../../src/attributes/trace-regrouper.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Counter, Labels } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createFailures } from "../../src/pipeline/per-batch.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { TailSamplingConfig } from "./config.ts";
import { createPolicy, type Decision, type Policy } from "./policies.ts";
import type { Trace } from "./trace.ts";

const TICK_MS = 1000;
const SPANS_PER_BATCH_MAX = 8192;
const PREFIX = "otelcol_processor_tail_sampling";

interface Named {
  readonly policy: Policy;
  readonly kept: Counter;
  readonly dropped: Counter;
}

/** Decisions that are remembered, the oldest going first. */
class DecisionCache {
  readonly #ids = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(id: string): void {
    if (this.#max === 0) return;
    this.#ids.delete(id);
    this.#ids.add(id);
    if (this.#ids.size <= this.#max) return;
    const [oldest] = this.#ids;
    if (oldest !== undefined) this.#ids.delete(oldest);
  }
}

/** Keeps traces until they can be judged as wholes, and passes on those that a policy wants. */
export class TailSampling implements Processor {
  readonly #config: TailSamplingConfig;
  readonly #policies: readonly Named[];
  readonly #traces = new Map<string, Trace>();
  readonly #kept: DecisionCache;
  readonly #dropped: DecisionCache;
  readonly #regrouper = new TraceRegrouper();
  readonly #failures: ReturnType<typeof createFailures>;
  readonly #log: ThrottledLog;
  readonly #tooEarly: Counter;
  readonly #newTraces: Counter;
  readonly #globallyKept: Counter;
  readonly #globallyDropped: Counter;
  readonly #stopGauge: () => void;
  #emit: ((batch: Batch) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: PipelineSettings, config: TailSamplingConfig) {
    const { telemetry } = settings;
    this.#config = config;
    this.#failures = createFailures(settings);
    this.#log = new ThrottledLog(telemetry.logger);
    const { sampled_cache_size: kept, non_sampled_cache_size: dropped } = config.decision_cache;
    this.#kept = new DecisionCache(Math.max(kept, config.num_traces));
    this.#dropped = new DecisionCache(Math.max(dropped, config.num_traces));
    const counter = (name: string, description: string, labels: Labels = {}): Counter =>
      telemetry.counter(
        `${PREFIX}_${name}`,
        { description, unit: "{traces}" },
        { processor: settings.id, ...labels },
      );
    const sampled = "Count of traces that were sampled or not per sampling policy.";
    this.#policies = config.policies.map((policy) => ({
      policy: createPolicy(policy),
      kept: counter("count_traces_sampled", sampled, { policy: policy.name, sampled: "true" }),
      dropped: counter("count_traces_sampled", sampled, { policy: policy.name, sampled: "false" }),
    }));
    const global = "Count of traces that were sampled or not by at least one policy.";
    this.#globallyKept = counter("global_count_traces_sampled", global, { sampled: "true" });
    this.#globallyDropped = counter("global_count_traces_sampled", global, { sampled: "false" });
    this.#newTraces = counter("new_trace_id_received", "Counts the arrival of new traces.");
    const early = "Count of traces that needed to be dropped before the configured wait time.";
    this.#tooEarly = counter("sampling_trace_dropped_too_early", early);
    this.#stopGauge = telemetry.gauge(
      `${PREFIX}_sampling_traces_on_memory`,
      { description: "Traces that wait for their decision.", unit: "{traces}" },
      () => this.#traces.size,
      { processor: settings.id },
    );
  }

  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#decide(Date.now()), TICK_MS);
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
          if (this.#config.drop_pending_traces_on_shutdown) this.#traces.clear();
          else this.#decide(Number.POSITIVE_INFINITY);
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
    const nowMs = Date.now();
    const late: Piece[] = [];
    for (const piece of pieces) {
      if (this.#kept.has(piece.id)) late.push(piece);
      else if (!this.#dropped.has(piece.id)) this.#hold(piece, nowMs);
    }
    this.#send(late.map(({ bytes, spans }) => ({ chunks: [bytes], spans })));
  }

  #hold({ id, bytes, spans, hasRoot }: Piece, nowMs: number): void {
    const {
      decision_wait,
      decision_wait_after_root_received: afterRoot,
      num_traces,
    } = this.#config;
    let trace = this.#traces.get(id);
    if (trace === undefined) {
      this.#newTraces.add(1);
      if (this.#traces.size >= num_traces) this.#forgetOldest();
      trace = { id, chunks: [], spans: 0, bytes: 0, decideAtMs: nowMs + decision_wait };
      this.#traces.set(id, trace);
    }
    trace.chunks.push(bytes);
    trace.spans += spans;
    trace.bytes += bytes.length;
    if (hasRoot && afterRoot > 0) trace.decideAtMs = Math.min(trace.decideAtMs, nowMs + afterRoot);
  }

  #forgetOldest(): void {
    const [oldest] = this.#traces.keys();
    if (oldest === undefined) return;
    this.#traces.delete(oldest);
    this.#tooEarly.add(1);
  }

  /** Decides all traces whose time has come, and sends those that are kept. */
  #decide(untilMs: number): void {
    const nowMs = Date.now();
    const kept: Trace[] = [];
    for (const [id, trace] of this.#traces) {
      if (trace.decideAtMs > untilMs) {
        // All that came later wait longer, if no root span makes a trace's time shorter.
        if (this.#config.decision_wait_after_root_received === 0) break;
        continue;
      }
      this.#traces.delete(id);
      if (this.#isWanted(trace, nowMs)) {
        this.#kept.add(id);
        this.#globallyKept.add(1);
        kept.push(trace);
      } else {
        this.#dropped.add(id);
        this.#globallyDropped.add(1);
      }
    }
    this.#send(kept);
  }

  #isWanted(trace: Trace, nowMs: number): boolean {
    const found = new Set<Decision>();
    for (const { policy, kept, dropped } of this.#policies) {
      let decision: Decision = "not_sampled";
      try {
        decision = policy(trace, nowMs);
      } catch (error) {
        this.#log.write("warn", "Sampling policy error", { error: messageOf(error) });
      }
      found.add(decision);
      const isKept = decision === "sampled" || decision === "inverted_sampled";
      (isKept ? kept : dropped).add(1);
      if (decision === "dropped") return false;
      if (this.#config.sample_on_first_match && decision === "sampled") return true;
    }
    if (found.has("inverted_not_sampled")) return false;
    if (found.has("sampled")) return true;
    return found.has("inverted_sampled") && !found.has("not_sampled");
  }

  #send(
    parts: readonly { readonly chunks: readonly Uint8Array[]; readonly spans: number }[],
  ): void {
    let chunks: Uint8Array[] = [];
    let items = 0;
    const flush = (): void => {
      if (items === 0) return;
      const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      this.#emit?.({ signal: "traces", chunks, items, bytes });
      chunks = [];
      items = 0;
    };
    for (const part of parts) {
      chunks.push(...part.chunks);
      items += part.spans;
      if (items >= SPANS_PER_BATCH_MAX) flush();
    }
    flush();
  }
}
