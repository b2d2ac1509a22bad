// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface FileStorageConfig {
  readonly directory: string;
  readonly create_directory: boolean;
  /** Mode bits. */
  readonly directory_permissions: number;
  readonly fsync: boolean;
  readonly recreate: boolean;
}

const WITHOUT_EFFECT = "Accepted, without effect: space is given back as entries go.";

const permissions = z.string().transform((text, context): number => {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
  context.addIssue({ code: "custom", message: 'must be octal mode bits, for example "0750"' });
  return z.NEVER;
});

export const configSchema: z.ZodType<FileStorageConfig> = z.strictObject({
  directory: z
    .string()
    .min(1, { error: "directory must be provided" })
    .default("/var/lib/otelcol/file_storage")
    .describe("Where the files are; one agent at a time may use it."),
  create_directory: z.boolean().default(true).describe("Make the directory if it is missing."),
  directory_permissions: permissions
    .default(0o750)
    .describe("Mode of a directory that is made, octal text."),
  fsync: z
    .boolean()
    .default(false)
    .describe("Answer senders only when the disk has the data: it outlives a loss of power, too."),
  recreate: z
    .boolean()
    .default(false)
    .describe("Set files aside that cannot be opened, and begin anew, in place of not starting."),
  timeout: duration().default(1_000).describe("Accepted, without effect."),
  compaction: z
    .strictObject({
      on_start: z.boolean().default(false),
      on_rebound: z.boolean().default(false),
      directory: z.string().default(""),
      rebound_needed_threshold_mib: z.int().default(100),
      rebound_trigger_threshold_mib: z.int().default(10),
      max_transaction_size: z.int().default(65_536),
      check_interval: duration().default(5_000),
      cleanup_on_start: z.boolean().default(false),
    })
    .prefault({})
    .describe(WITHOUT_EFFECT),
});
