// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface FileConfig {
  readonly path: string;
  readonly append: boolean;
  readonly create_directory: boolean;
}

export const configSchema: z.ZodType<FileConfig> = z.strictObject({
  path: z
    .string({ error: 'path must be non-empty, for example "traces.jsonl"' })
    .min(1, { error: 'path must be non-empty, for example "traces.jsonl"' })
    .describe("File to write. Exporters of several signals may share it."),
  append: z
    .boolean()
    .default(false)
    .describe("Write behind what the file holds; otherwise it is emptied at start."),
  create_directory: z.boolean().default(false).describe("Make missing directories of the path."),
  format: z
    .enum(["json"], { error: 'only the format "json" is supported' })
    .default("json")
    .describe("One OTLP/JSON object a line."),
  flush_interval: duration()
    .default(1_000)
    .describe("Accepted; every batch is written when it comes."),
});
