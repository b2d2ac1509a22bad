// SPDX-License-Identifier: Apache-2.0
import { Observable } from "rxjs";
import type { PipelineSettings, Processor } from "../../../src/component/component.ts";
import type { Batch } from "../../../src/model/batch.ts";
import { DelayLine } from "../../../src/pipeline/delay-line.ts";
import { createFailures } from "../../../src/pipeline/per-batch.ts";
import type { SpanStitchConfig } from "../config.ts";
import { Gateway } from "./gateway.ts";

const BYTES_PER_MIB = 2 ** 20;

/** `span_stitch` in `mode: gateway`: batches wait for the window, then go in the same order. */
export function createGateway(settings: PipelineSettings, config: SpanStitchConfig): Processor {
  const gateway = new Gateway(settings, config.gateway.max_known_spans);
  const failed = createFailures(settings);
  const forcedOut = settings.telemetry.counter(
    "backstitch_span_stitch_gateway_forced_out_batches",
    { description: "Batches sent before their window was over.", unit: "{batch}" },
    { processor: settings.id },
  );
  return {
    start: async () => {},
    shutdown: async () => gateway.unpublish(),
    process: (input) =>
      new Observable<Batch>((subscriber) => {
        const emit = (batch: Batch): void => {
          let joined: Batch | undefined;
          try {
            joined = gateway.join(batch);
          } catch (error) {
            failed(batch, error);
          }
          if (joined !== undefined) subscriber.next(joined);
        };
        const line = new DelayLine({
          waitMs: config.gateway.window,
          bytesMax: config.max_held_mib * BYTES_PER_MIB,
          itemsMax: config.max_held_spans,
          forcedOut: () => forcedOut.add(1),
          emit,
        });
        const subscription = input.subscribe({
          next: (batch) => {
            let learned: Batch | undefined;
            try {
              learned = gateway.learn(batch);
            } catch (error) {
              failed(batch, error);
              return;
            }
            const isReplayable = batch.isReplayable === true;
            if (learned === undefined || !isReplayable) batch.receipt?.settle({ kind: "accepted" });
            if (learned === undefined) return;
            const { signal, chunks, items, bytes } = learned;
            line.add(isReplayable ? learned : { signal, chunks, items, bytes });
          },
          error: (error) => {
            line.finish();
            subscriber.error(error);
          },
          complete: () => {
            line.finish();
            subscriber.complete();
          },
        });
        subscription.add(() => line.stop());
        return subscription;
      }),
  };
}
