// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface RotationConfig {
  readonly max_megabytes: number;
  readonly max_days: number;
  readonly max_backups: number;
  readonly localtime: boolean;
}

export interface GroupByConfig {
  readonly enabled: boolean;
  readonly resource_attribute: string;
  readonly max_open_files: number;
}

export interface FileConfig {
  readonly path: string;
  readonly append: boolean;
  readonly create_directory: boolean;
  /** Mode bits. */
  readonly directory_permissions: number;
  readonly format: "json" | "proto";
  readonly compression: "" | "zstd";
  readonly rotation?: RotationConfig | null | undefined;
  readonly group_by: GroupByConfig;
}

const NO_PATH = 'path must be non-empty, for example "traces.jsonl"';

const rotation = z.strictObject({
  max_megabytes: z.int().min(0).default(100).describe("Largest file, MiB; 0 is 100."),
  max_days: z.int().min(0).default(0).describe("Older files are removed; 0 is never."),
  max_backups: z.int().min(0).default(100).describe("Old files kept; 0 is all."),
  localtime: z.boolean().default(false).describe("Local time in their names, not UTC."),
});

const groupBy = z.strictObject({
  enabled: z.boolean().default(false).describe("A file for each value of an attribute."),
  resource_attribute: z
    .string()
    .min(1)
    .default("fileexporter.path_segment")
    .describe("The attribute; its value stands in place of the * in path."),
  max_open_files: z.int().min(1).default(100).describe("Files open at the same time."),
});

export const configSchema: z.ZodType<FileConfig> = z
  .strictObject({
    path: z
      .string({ error: NO_PATH })
      .min(1, { error: NO_PATH })
      .describe("File to write. Exporters of several signals may share it."),
    append: z
      .boolean()
      .default(false)
      .describe("Write behind what the file holds; otherwise it is emptied at start."),
    create_directory: z.boolean().default(false).describe("Make missing directories of the path."),
    directory_permissions: z
      .string()
      .regex(/^0?[0-7]{3}$/, { error: "directory_permissions must be octal, such as 0755" })
      .default("0755")
      .transform((text) => Number.parseInt(text, 8))
      .describe("Of directories that are made, octal."),
    format: z.enum(["json", "proto"]).default("json").describe("json or proto."),
    compression: z
      .enum(["", "zstd"], { error: "compression is not supported: use zstd" })
      .default("")
      .describe("zstd, each message by itself."),
    flush_interval: duration()
      .default(1_000)
      .describe("Accepted; every batch is written when it comes."),
    rotation: rotation.nullish().describe("Begin a new file when one is full; off unless set."),
    group_by: groupBy.prefault({}).describe("Off unless enabled."),
  })
  .refine(({ append, compression }) => !append || compression === "", {
    error: "append and compression enabled at the same time is not supported. Leave one out",
  })
  .refine(({ append, rotation: turns }) => !append || turns === undefined || turns === null, {
    error: "append and rotation enabled at the same time is not supported. Leave one out",
  })
  .refine(
    ({ group_by: group, rotation: turns }) =>
      !group.enabled || turns === undefined || turns === null,
    { error: "rotation and group_by enabled at the same time is not supported. Leave one out" },
  )
  .refine(({ group_by: group, path }) => !group.enabled || path.split("*").length === 2, {
    error: "path must contain exactly one * when group_by is enabled",
  })
  .refine(({ group_by: group, path }) => !group.enabled || !path.startsWith("*"), {
    error: "path must not start with * when group_by is enabled: name a directory before it",
  });
