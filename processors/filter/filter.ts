// SPDX-License-Identifier: Apache-2.0
import type { Observable } from "rxjs";
import { Pruner, type PrunerOptions } from "../../src/attributes/pruner.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import type { Condition } from "../../src/ottl/condition.ts";
import { Telemetry } from "../../src/ottl/telemetry.ts";
import { OttlEvaluationError } from "../../src/ottl/value.ts";
import { countItems } from "../../src/pdata/count.ts";
import { itemPath } from "../../src/pdata/levels.ts";
import { perBatch } from "../../src/pipeline/per-batch.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { FilterConfig } from "./config.ts";

const SPAN_EVENTS = 1 << 11;
/** Levels of a request: its resources, their scopes, their items, and what is in those. */
const RESOURCE = 0;
const SCOPE = 1;
const ITEM = 2;
const POINT_KIND = 3;

/** Conditions by the level at which they are asked. */
type Conditions = readonly (readonly Condition[])[];

const NAMES = { traces: "spans", metrics: "datapoints", logs: "logs", profiles: "profiles" };

/** Drops what a condition is true of. */
export class Filter implements Processor {
  readonly #settings: PipelineSettings;
  readonly #errorMode: FilterConfig["error_mode"];
  readonly #pruners: readonly Pruner[];
  readonly #telemetry = new Telemetry();
  readonly #filtered: Counter;
  readonly #log: ThrottledLog;

  constructor(settings: PipelineSettings, config: FilterConfig) {
    this.#settings = settings;
    this.#errorMode = config.error_mode;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    const name = NAMES[settings.signal];
    this.#filtered = settings.telemetry.counter(
      `otelcol_processor_filter_${name}_filtered`,
      { description: `Number of ${name} dropped by the filter processor.`, unit: "1" },
      { filter: settings.id },
    );
    this.#pruners = this.#prunersOf(config);
  }

  async start(): Promise<void> {}

  async shutdown(): Promise<void> {}

  process(input: Observable<Batch>): Observable<Batch> {
    return input.pipe(perBatch(this.#settings, (batch) => this.#filter(batch)));
  }

  #prunersOf({ traces, metrics, logs }: FilterConfig): Pruner[] {
    const path = itemPath(this.#settings.signal);
    switch (this.#settings.signal) {
      case "traces": {
        const spans = this.#pruner(path, [traces.resource, [], traces.span], ITEM);
        const events = [[], [], [], traces.spanevent];
        return [...spans, ...this.#pruner([...path, SPAN_EVENTS], events, -1)];
      }
      case "metrics": {
        const { resource, metric, datapoint } = metrics;
        const isDeep = datapoint.length > 0;
        const levels = [resource, [], metric, [], datapoint];
        return this.#pruner(isDeep ? path : path.slice(0, ITEM + 1), levels, POINT_KIND + 1);
      }
      default:
        return this.#pruner(path, [logs.resource, [], logs.log_record], ITEM);
    }
  }

  /** None when there are no conditions. */
  #pruner(path: readonly number[], conditions: Conditions, emptyBelowLevel: number): Pruner[] {
    if (conditions.every((list) => list.length === 0)) return [];
    const telemetry = this.#telemetry;
    const isRemoved: PrunerOptions["isRemoved"] = (level, bytes, start, stop, field) => {
      if (level === POINT_KIND && path.length > POINT_KIND + 1) {
        telemetry.pointKind = field;
        telemetry.data.reset(bytes, start, stop);
        return false;
      }
      if (level === ITEM) telemetry.pointKind = 0;
      const range =
        level === RESOURCE
          ? telemetry.resource
          : level === SCOPE
            ? telemetry.scope
            : level === ITEM
              ? telemetry.item
              : telemetry.part;
      range.reset(bytes, start, stop);
      return this.#isTrue(conditions[level] ?? []);
    };
    return [new Pruner({ path, emptyBelowLevel, isRemoved })];
  }

  #isTrue(conditions: readonly Condition[]): boolean {
    for (const condition of conditions) {
      try {
        if (condition(this.#telemetry)) return true;
      } catch (error) {
        if (!(error instanceof OttlEvaluationError) || this.#errorMode === "propagate") throw error;
        if (this.#errorMode === "ignore") {
          this.#log.write("warn", "failed to eval condition", { error: messageOf(error) });
        }
      }
    }
    return false;
  }

  #filter(batch: Batch): Batch | undefined {
    if (this.#pruners.length === 0) return batch;
    const chunks: Uint8Array[] = [];
    let isChanged = false;
    for (const chunk of batch.chunks) {
      let left: Uint8Array | undefined = chunk;
      for (const pruner of this.#pruners) left = left && pruner.prune(left);
      if (left !== chunk) isChanged = true;
      if (left !== undefined) chunks.push(left);
    }
    if (!isChanged) return batch;
    let items = 0;
    let bytes = 0;
    for (const chunk of chunks) {
      items += Math.max(countItems(batch.signal, chunk), 0);
      bytes += chunk.length;
    }
    this.#filtered.add(batch.items - items);
    if (items > 0) return { ...batch, chunks, items, bytes };
    batch.receipt?.settle({ kind: "dropped", reason: "filtered" });
    return undefined;
  }
}
