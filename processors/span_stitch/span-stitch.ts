// SPDX-License-Identifier: Apache-2.0
import type { PipelineSettings } from "../../src/component/component.ts";
import type { Batch } from "../../src/model/batch.ts";
import type { SpanStitchConfig } from "./config.ts";
import { type Counts, createCounts } from "./counts.ts";
import { Deadlines, LIST_REMEMBERED } from "./deadlines.ts";
import { Groups } from "./groups.ts";
import type { InferenceLimits } from "./inference/inference.ts";
import { Nodes } from "./nodes.ts";
import { withoutIds, withoutOurs } from "./remainder.ts";
import { Scanner } from "./scan.ts";
import type { Tables } from "./settler.ts";
import { Sources } from "./sources.ts";
import { Stitcher } from "./stitcher.ts";
import { Traces } from "./traces.ts";
import { Writer } from "./writer.ts";

const BYTES_PER_MIB = 2 ** 20;
/** Spans let go at once before their bytes are counted again. */
const FORCE_SOME = 64;
const FINISH_SOME = 4096;
/** Spans whose places in the table are fetched together. */
const WARM_SPANS = 32;
/** Rows of the table at first. */
const ROWS_MIN = 4096;
const ROWS_MAX = 131_072;

/** Milliseconds that never run backwards. */
export interface Clock {
  nowMs(): number;
}

/** Batches in, stitched batches out; no stream, no timer. */
export class SpanStitch {
  readonly #limits: { readonly heldSpansMax: number; readonly heldBytesMax: number };
  readonly #clock: Clock;
  readonly #counts: Counts;
  readonly #tables: Tables;
  readonly #scanner: Scanner;
  readonly #stitcher: Stitcher;
  readonly #writer: Writer;
  #gauges: (() => void)[];

  constructor(settings: PipelineSettings, config: SpanStitchConfig, clock: Clock) {
    const nodes = new Nodes(rowsFor(config.max_remembered_spans));
    const groups = new Groups();
    this.#clock = clock;
    this.#limits = {
      heldSpansMax: config.max_held_spans,
      heldBytesMax: config.max_held_mib * BYTES_PER_MIB,
    };
    this.#counts = createCounts(settings.telemetry, settings.id);
    const deadlines = new Deadlines(nodes);
    this.#tables = { nodes, deadlines, traces: new Traces(), sources: new Sources() };
    this.#scanner = new Scanner((resource, scope) => groups.intern(resource, scope));
    this.#writer = new Writer(this.#tables, groups, config.peer_ids);
    this.#stitcher = new Stitcher({
      tables: this.#tables,
      groups,
      counts: this.#counts,
      limits: {
        waitMaxMs: config.wait_max,
        reorderWaitMs: config.reorder_wait,
        rememberMs: config.remember,
        percentMin: config.min_confidence * 100,
        spansPerTraceMax: config.max_spans_per_trace,
        traceSecondsMax: config.max_trace_duration / 1000,
        rememberedMax: config.max_remembered_spans,
        inference: inferenceLimits(config),
      },
      send: (row) => this.#writer.add(row),
    });
    this.#gauges = this.#publish(settings, config);
  }

  /** Spans that wait. */
  get held(): number {
    return this.#tables.deadlines.held;
  }

  /** How long until one of them is due, ms. */
  get nextDueMs(): number {
    const turnMs = this.#stitcher.inference?.nextTurnMs ?? Number.POSITIVE_INFINITY;
    return Math.min(turnMs, this.#tables.deadlines.nextDueMs(this.#clock.nowMs()));
  }

  /** Takes our spans; returns the rest, which goes on at once, or undefined. */
  add(batch: Batch): Batch | undefined {
    const nowMs = this.#clock.nowMs();
    const passed: Uint8Array[] = [];
    let taken = 0;
    for (const chunk of batch.chunks) {
      if (!this.#scanner.scan(chunk)) {
        this.#counts.malformedChunks.add(1);
        passed.push(chunk);
        continue;
      }
      const { count, others, brokenKeys } = this.#scanner;
      if (brokenKeys > 0) this.#counts.brokenKeys.add(brokenKeys);
      this.#counts.passed.add(others);
      if (count === 0) {
        passed.push(chunk);
        continue;
      }
      if (others > 0) passed.push(withoutOurs(chunk, this.#scanner));
      this.#take(chunk, nowMs);
      taken += count;
    }
    this.turn();
    if (taken === 0) return batch;
    if (passed.length > 0) return rest(batch, passed, batch.items - taken);
    batch.receipt?.settle({ kind: "accepted" });
    return undefined;
  }

  /** Moves on what is due and keeps the bounds. */
  turn(): void {
    const nowMs = this.#clock.nowMs();
    this.#stitcher.expire(nowMs);
    while (this.held > this.#limits.heldSpansMax && this.#stitcher.forceOldest("held_spans"));
    this.#writer.flush();
    const { sources } = this.#tables;
    while (sources.heldBytes > this.#limits.heldBytesMax && this.held > 0) {
      for (let i = 0; i < FORCE_SOME && this.#stitcher.forceOldest("held_bytes"); i++);
      this.#writer.flush();
    }
    this.#stitcher.forget(nowMs);
    this.#writer.flush();
    if (this.held === 0) sources.trim();
  }

  /** Sends some of what is held as it is. False when nothing is left. */
  finishSome(): boolean {
    this.#stitcher.inference?.finish();
    for (let i = 0; i < FINISH_SOME && this.#stitcher.forceOldest("shutdown"); i++);
    this.#writer.flush();
    return this.held > 0;
  }

  takeBatches(): readonly Batch[] {
    return this.#writer.takeBatches();
  }

  /** Takes the gauges back. */
  unpublish(): void {
    for (const remove of this.#gauges) remove();
    this.#gauges = [];
  }

  #take(chunk: Uint8Array, nowMs: number): void {
    const { sources } = this.#tables;
    const scanner = this.#scanner;
    const source = sources.add(chunk);
    for (let i = 0; i < scanner.count; i++) {
      if (i % WARM_SPANS === 0) {
        this.#stitcher.warm(scanner, i, Math.min(i + WARM_SPANS, scanner.count), chunk);
      }
      if (scanner.isScattered[i] === 1) this.#takeScattered(chunk, i, nowMs);
      else this.#stitcher.take(scanner, i, source, nowMs);
    }
    sources.release(source);
  }

  /** A span with an id behind other fields: taken from a copy without it. */
  #takeScattered(chunk: Uint8Array, index: number, nowMs: number): void {
    const { sources } = this.#tables;
    const scanner = this.#scanner;
    const start = scanner.bodyAt[index] ?? 0;
    const body = withoutIds(chunk, start, scanner.bodyEnd[index] ?? 0);
    scanner.keyAt[index] = withoutIds(chunk, start, scanner.keyAt[index] ?? 0).length;
    scanner.bodyAt[index] = 0;
    scanner.bodyEnd[index] = body.length;
    const source = sources.add(body);
    this.#stitcher.take(scanner, index, source, nowMs);
    sources.release(source);
  }

  #publish(settings: PipelineSettings, config: SpanStitchConfig): (() => void)[] {
    const { deadlines, sources, nodes, traces } = this.#tables;
    const labels = { processor: settings.id };
    const gauge = (name: string, unit: string, description: string, read: () => number) =>
      settings.telemetry.gauge(
        `backstitch_span_stitch_${name}`,
        { description, unit },
        read,
        labels,
      );
    return [
      gauge("held_spans", "{span}", "Spans that wait for their trace.", () => deadlines.held),
      gauge("held_spans_capacity", "{span}", "Bound on them.", () => config.max_held_spans),
      gauge("held_bytes", "By", "Bytes kept for them.", () => sources.heldBytes),
      gauge("held_bytes_capacity", "By", "Bound on them.", () => this.#limits.heldBytesMax),
      gauge("remembered_spans", "{span}", "Sent spans that late ones can join.", () =>
        deadlines.count(LIST_REMEMBERED),
      ),
      gauge(
        "remembered_spans_capacity",
        "{span}",
        "Bound on them.",
        () => config.max_remembered_spans,
      ),
      gauge(
        "inference_spans",
        "{span}",
        "Spans compared by their times.",
        () => this.#stitcher.inference?.held ?? 0,
      ),
      gauge(
        "inference_spans_capacity",
        "{span}",
        "Bound on them.",
        () => config.inference.max_spans,
      ),
      gauge("known_traces", "{trace}", "Traces of held and remembered spans.", () => traces.used),
      gauge("table_rows", "{row}", "Rows of the table in use.", () => nodes.used),
    ];
  }
}

function inferenceLimits(config: SpanStitchConfig): InferenceLimits | undefined {
  const { enabled, min_confidence, window, max_spans } = config.inference;
  if (!enabled) return undefined;
  return { confidenceMin: min_confidence, windowMs: window, callsMax: max_spans };
}

/** So many that the usual load makes no table grow: what it grows out of is garbage for long. */
function rowsFor(remembered: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(Math.max(remembered, ROWS_MIN), ROWS_MAX)));
}

/** What of `batch` is not ours. */
function rest(batch: Batch, chunks: readonly Uint8Array[], items: number): Batch {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  const left = { signal: batch.signal, chunks, items, bytes };
  return batch.receipt === undefined ? left : { ...left, receipt: batch.receipt };
}
