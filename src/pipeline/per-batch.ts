// SPDX-License-Identifier: Apache-2.0
import { Observable, type OperatorFunction } from "rxjs";
import type { PipelineSettings } from "../component/component.ts";
import { messageOf } from "../component/errors.ts";
import type { Batch } from "../model/batch.ts";
import { ThrottledLog } from "./throttled-log.ts";

/** What a transform gives: one batch, several, or none. Who drops a batch settles its receipt. */
export type Transformed = Batch | readonly Batch[] | undefined;

export interface PerBatchOptions {
  /** Called once when the input ends: what the processor still holds. */
  readonly flush?: () => Transformed;
}

/**
 * Runs `transform` on each batch. A throw costs that batch: it is counted
 * (`otelcol_processor_failed_items`), logged at most once a second, and its receipt is settled
 * as a permanent refusal; the stream goes on.
 */
export function perBatch(
  settings: PipelineSettings,
  transform: (batch: Batch) => Transformed,
  options: PerBatchOptions = {},
): OperatorFunction<Batch, Batch> {
  const failures = createFailures(settings);
  const { flush } = options;
  return (input) =>
    new Observable<Batch>((subscriber) => {
      const emit = (result: Transformed): void => {
        if (result === undefined) return;
        if ("chunks" in result) {
          if (result.items > 0) subscriber.next(result);
          return;
        }
        for (const batch of result) if (batch.items > 0) subscriber.next(batch);
      };
      return input.subscribe({
        next: (batch) => {
          let result: Transformed;
          try {
            result = transform(batch);
          } catch (error) {
            failures(batch, error);
            return;
          }
          emit(result);
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          let left: Transformed;
          try {
            left = flush?.();
          } catch (error) {
            failures(undefined, error);
          }
          emit(left);
          subscriber.complete();
        },
      });
    });
}

/** Counts, logs and settles a batch that a processor's code threw on. */
export function createFailures(
  settings: PipelineSettings,
): (batch: Batch | undefined, error: unknown) => void {
  const log = new ThrottledLog(settings.telemetry.logger);
  const failed = settings.telemetry.counter(
    "otelcol_processor_failed_items",
    { description: "Items lost because the processor failed on their batch.", unit: "{item}" },
    { processor: settings.id, otel_signal: settings.signal },
  );
  return (batch, error) => {
    const message = messageOf(error);
    failed.add(batch?.items ?? 0);
    log.write("error", "Processor failed. Dropping the batch.", {
      error: message,
      dropped_items: batch?.items ?? 0,
    });
    batch?.receipt?.settle({ kind: "refused", retryable: false, message });
  };
}
