// SPDX-License-Identifier: Apache-2.0
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { splitBatch } from "../../src/pdata/split.ts";
import { type BatchTrigger, timedBatch } from "../../src/pipeline/timed-batch.ts";
import type { BatchConfig } from "./config.ts";

/** Bound on what is held in a batch that its number of items does not close. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

/** Joins batches by size or time: lists of chunks are joined, no byte is copied or decoded. */
export function createBatchProcessor(settings: PipelineSettings, config: BatchConfig): Processor {
  const { telemetry, id: processor } = settings;
  const counter = (name: string, description: string) =>
    telemetry.counter(
      `otelcol_processor_batch_${name}`,
      { description, unit: "{times}" },
      { processor },
    );
  const bySize = counter(
    "batch_size_trigger_send",
    "Number of times the batch was sent due to a size trigger.",
  );
  const byTimeout = counter(
    "timeout_trigger_send",
    "Number of times the batch was sent due to a timeout trigger.",
  );
  const onSend = (_: unknown, trigger: BatchTrigger): void => {
    if (trigger === "size") bySize.add(1);
    else if (trigger === "timeout") byTimeout.add(1);
  };
  const operator = timedBatch({
    itemsMin: config.send_batch_size,
    timeoutMs: config.timeout,
    bytesMax: HELD_BYTES_MAX,
    itemsMax: config.send_batch_max_size,
    split: splitBatch,
    receipts: "settle",
    onSend,
  });
  return {
    process: (input) => input.pipe(operator),
    start: async () => {},
    shutdown: async () => {},
  };
}
