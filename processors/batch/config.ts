// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface BatchConfig {
  /** Milliseconds. */
  readonly timeout: number;
  readonly send_batch_size: number;
  /** 0: no bound. */
  readonly send_batch_max_size: number;
}

export const configSchema: z.ZodType<BatchConfig> = z
  .strictObject({
    timeout: duration()
      .default(200)
      .describe("A batch is sent after this time whatever its size; 0 sends at once."),
    send_batch_size: z
      .int()
      .min(0)
      .default(8192)
      .describe("Spans, data points or log records after which a batch is sent; 0 sends at once."),
    send_batch_max_size: z
      .int()
      .min(0)
      .default(0)
      .describe("Larger batches are cut; 0 is no limit."),
    metadata_keys: z
      .array(z.string())
      .max(0, { error: "metadata_keys is not supported: batches carry no client metadata" })
      .default([])
      .describe("Only the empty list."),
    metadata_cardinality_limit: z.int().default(1000).describe("Accepted, without effect."),
  })
  .refine(({ send_batch_size: size, send_batch_max_size: max }) => max === 0 || max >= size, {
    error: "send_batch_max_size must be greater or equal to send_batch_size",
  });
