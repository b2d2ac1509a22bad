// SPDX-License-Identifier: Apache-2.0
import type { Observable } from "rxjs";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Batch, Signal } from "../../src/model/batch.ts";
import { Telemetry } from "../../src/ottl/telemetry.ts";
import { OttlEvaluationError } from "../../src/ottl/value.ts";
import { Walker } from "../../src/ottl/walker.ts";
import { perBatch } from "../../src/pipeline/per-batch.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import type { ErrorMode, TransformConfig, TransformGroup } from "./config.ts";

function groupsOf(signal: Signal, config: TransformConfig): readonly TransformGroup[] {
  switch (signal) {
    case "traces":
      return config.trace_statements;
    case "metrics":
      return config.metric_statements;
    default:
      return config.log_statements;
  }
}

/** Runs OTTL statements: one pass over the data for each group, in order. */
export class Transform implements Processor {
  readonly #settings: PipelineSettings;
  readonly #telemetry = new Telemetry();
  readonly #walkers: readonly Walker[];
  readonly #log: ThrottledLog;

  constructor(settings: PipelineSettings, config: TransformConfig) {
    this.#settings = settings;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    const groups = groupsOf(settings.signal, config);
    this.#walkers = groups.map((group) => {
      const mode = group.errorMode ?? config.error_mode;
      return new Walker(group.context, this.#telemetry, () => this.#run(group, mode));
    });
  }

  async start(): Promise<void> {}

  async shutdown(): Promise<void> {}

  process(input: Observable<Batch>): Observable<Batch> {
    return input.pipe(perBatch(this.#settings, (batch) => this.#transform(batch)));
  }

  #transform(batch: Batch): Batch {
    let isChanged = false;
    let bytes = 0;
    const chunks = batch.chunks.map((chunk) => {
      let rewritten = chunk;
      for (const walker of this.#walkers) rewritten = walker.rewrite(rewritten);
      if (rewritten !== chunk) isChanged = true;
      bytes += rewritten.length;
      return rewritten;
    });
    return isChanged ? { ...batch, chunks, bytes } : batch;
  }

  #run(group: TransformGroup, mode: ErrorMode): void {
    const telemetry = this.#telemetry;
    if (telemetry.cache.size > 0) telemetry.cache.clear();
    if (!this.#isWanted(group, mode)) return;
    for (const statement of group.statements) {
      try {
        statement(telemetry);
      } catch (error) {
        this.#failed(error, mode, "failed to execute statement");
      }
    }
  }

  #isWanted({ conditions }: TransformGroup, mode: ErrorMode): boolean {
    if (conditions.length === 0) return true;
    for (const condition of conditions) {
      try {
        if (condition(this.#telemetry)) return true;
      } catch (error) {
        this.#failed(error, mode, "failed to eval condition");
      }
    }
    return false;
  }

  #failed(error: unknown, mode: ErrorMode, message: string): void {
    if (!(error instanceof OttlEvaluationError) || mode === "propagate") throw error;
    if (mode === "ignore") this.#log.write("warn", message, { error: messageOf(error) });
  }
}
