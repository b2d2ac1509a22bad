// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";
import { type SendingQueueConfig, sendingQueueSchema } from "../../src/pipeline/export-helper.ts";

export interface StoreConfig {
  readonly directory: string;
  readonly max_size_mib: number;
  /** Milliseconds. */
  readonly max_age: number;
  readonly sending_queue: SendingQueueConfig;
}

const DIRECTORY_ERROR = 'directory must be non-empty, for example "/var/lib/backstitch/store"';

export const configSchema: z.ZodType<StoreConfig> = z.strictObject({
  directory: z
    .string({ error: DIRECTORY_ERROR })
    .min(1, { error: DIRECTORY_ERROR })
    .describe("Where the files are; made when missing. One exporter writes to a directory."),
  max_size_mib: z
    .int()
    .min(8, { error: "max_size_mib must be at least 8" })
    .default(1_024)
    .describe("The oldest files are deleted when all together are larger."),
  max_age: duration()
    .default(7 * 24 * 3_600_000)
    .describe("Files in which nothing was written for so long are deleted; 0 keeps them."),
  sending_queue: sendingQueueSchema()
    .prefault({})
    .describe("Where batches wait while the disk is slow."),
});
