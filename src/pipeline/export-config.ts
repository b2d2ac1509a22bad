// SPDX-License-Identifier: Apache-2.0
/** The Collector's exporter helper options: keys, defaults and texts of v0.159.0. */
import { z } from "zod";
import { duration } from "../config/types.ts";

const SIZERS = ["requests", "items", "bytes"] as const;

/** `sending_queue::batch`: requests are joined before they are sent. */
export interface QueueBatchConfig {
  readonly flush_timeout: number;
  readonly min_size: number;
  readonly max_size: number;
  /** Undefined: the queue's when that is items or bytes, else items. */
  readonly sizer?: "items" | "bytes" | undefined;
}

export interface SendingQueueConfig {
  readonly enabled: boolean;
  readonly num_consumers: number;
  readonly queue_size: number;
  readonly sizer: (typeof SIZERS)[number];
  readonly block_on_overflow: boolean;
  readonly wait_for_result: boolean;
  readonly limit_mib: number;
  /** Id of the extension that keeps the queue over restarts. */
  readonly storage?: string | undefined;
  readonly batch?: QueueBatchConfig | undefined;
}

export interface RetryConfig {
  readonly enabled: boolean;
  readonly initial_interval: number;
  readonly randomization_factor: number;
  readonly multiplier: number;
  readonly max_interval: number;
  readonly max_elapsed_time: number;
}

type Input<Config> = { [Key in keyof Config]?: unknown };

const batchSchema = z
  .strictObject({
    flush_timeout: duration().default(200).describe("Send what waits after this time."),
    min_size: z.int().min(0).default(8192).describe("Send when so much waits."),
    max_size: z.int().min(0).default(0).describe("Larger requests are cut; 0 is no limit."),
    sizer: z
      .enum(["items", "bytes"], {
        error: "batch supports only items or bytes sizer",
      })
      .optional()
      .describe("What the sizes count."),
  })
  .superRefine((batch, context) => {
    if (batch.flush_timeout <= 0) {
      const message = "`flush_timeout` must be positive, for example 200ms";
      context.addIssue({ code: "custom", path: ["flush_timeout"], message });
    }
    if (batch.max_size !== 0 && batch.max_size < batch.min_size) {
      const message = `\`max_size\` (${batch.max_size}) must be greater or equal to \`min_size\` (${batch.min_size})`;
      context.addIssue({ code: "custom", path: ["max_size"], message });
    }
  });

/** `sending_queue`: use as `sendingQueueSchema().prefault({})`. */
export function sendingQueueSchema(): z.ZodType<SendingQueueConfig, Input<SendingQueueConfig>> {
  return z
    .strictObject({
      enabled: z.boolean().default(true).describe("Queue what cannot be sent at once."),
      num_consumers: z.int().default(10).describe("Requests sent at the same time."),
      queue_size: z.int().default(1000).describe("Capacity, in units of `sizer`."),
      sizer: z
        .enum(SIZERS)
        .default("requests")
        .describe("What `queue_size` counts: requests, items or bytes."),
      block_on_overflow: z
        .boolean()
        .default(false)
        .describe("Hold receivers back when full, in place of refusing."),
      wait_for_result: z
        .boolean()
        .default(false)
        .describe("Answer the receiver when the data is delivered, not when it is queued."),
      limit_mib: z
        .int()
        .default(256)
        .describe("Memory the queue may hold whatever `sizer` counts, MiB."),
      storage: z
        .string()
        .min(1)
        .optional()
        .describe("Id of a storage extension, as file_storage: the queue outlives the process."),
      batch: z
        .union([batchSchema, z.null().transform(() => batchSchema.parse({}))])
        .optional()
        .describe("Join requests before they are sent; off unless it is there."),
    })
    .superRefine((queue, context) => {
      if (!queue.enabled) return;
      for (const key of ["queue_size", "num_consumers", "limit_mib"] as const) {
        if (queue[key] > 0) continue;
        context.addIssue({ code: "custom", path: [key], message: `\`${key}\` must be positive` });
      }
      if (queue.storage !== undefined && queue.wait_for_result) {
        const message =
          "`wait_for_result` is not supported with a persistent queue configured with `storage`";
        context.addIssue({ code: "custom", path: ["wait_for_result"], message });
      }
      const { batch } = queue;
      const isSameSizer = batch !== undefined && (batch.sizer ?? queue.sizer) === queue.sizer;
      if (isSameSizer && queue.sizer !== "requests" && batch.min_size > queue.queue_size) {
        const message = "`min_size` must be less than or equal to `queue_size`";
        context.addIssue({ code: "custom", path: ["batch", "min_size"], message });
      }
    });
}

/** `retry_on_failure`: use as `retrySchema().prefault({})`. Times in milliseconds. */
export function retrySchema(): z.ZodType<RetryConfig, Input<RetryConfig>> {
  return z
    .strictObject({
      enabled: z.boolean().default(true).describe("Try again after a temporary failure."),
      initial_interval: duration().default(5_000).describe("Wait before the first retry."),
      randomization_factor: z.number().default(0.5).describe("Jitter, 0 to 1."),
      multiplier: z.number().default(1.5).describe("Growth of the wait from retry to retry."),
      max_interval: duration().default(30_000).describe("Upper bound of the wait."),
      max_elapsed_time: duration()
        .default(300_000)
        .describe("Give a request up after this time; 0 is never."),
    })
    .superRefine((retry, context) => {
      if (!retry.enabled) return;
      const refuse = (key: keyof RetryConfig, message: string): void => {
        context.addIssue({ code: "custom", path: [key], message });
      };
      const { randomization_factor: jitter, multiplier, max_elapsed_time: elapsedMs } = retry;
      if (jitter < 0 || jitter > 1) {
        refuse("randomization_factor", "'randomization_factor' must be within [0, 1]");
      }
      if (multiplier < 0) refuse("multiplier", "'multiplier' must be non-negative");
      if (elapsedMs === 0) return;
      for (const key of ["initial_interval", "max_interval"] as const) {
        if (elapsedMs >= retry[key]) continue;
        refuse(
          "max_elapsed_time",
          `'max_elapsed_time' must not be less than '${key}' (${retry[key] / 1000}s). ` +
            `Raise it or lower ${key}`,
        );
      }
    });
}

/** `timeout` of one attempt, in milliseconds; 0 is none. */
export function timeoutSchema(defaultMs = 5_000): z.ZodType<number, unknown> {
  return duration().default(defaultMs).describe("Time one attempt may take; 0 is no limit.");
}
