// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export const VERBOSITIES = ["basic", "normal", "detailed", "tree"] as const;
export type Verbosity = (typeof VERBOSITIES)[number];

export interface DebugConfig {
  readonly verbosity: Verbosity;
  readonly sampling_initial: number;
  readonly sampling_thereafter: number;
  readonly tree: TreeConfig;
}

export interface TreeConfig {
  /** Milliseconds. */
  readonly wait: number;
  readonly max_traces_per_second: number;
  readonly max_spans: number;
}

const tree: z.ZodType<TreeConfig, { [Key in keyof TreeConfig]?: unknown }> = z.strictObject({
  wait: duration({ positive: true })
    .default(1_000)
    .describe("A trace is printed when no span of it has come for so long."),
  max_traces_per_second: z
    .int()
    .min(1)
    .default(10)
    .describe("More traces are counted and not printed."),
  max_spans: z.int().min(1).default(200).describe("Spans printed of one trace."),
});

export const configSchema: z.ZodType<DebugConfig> = z.strictObject({
  verbosity: z
    .enum(VERBOSITIES)
    .default("basic")
    .describe(
      "basic: a line for each batch. normal: a line for each item. detailed: all fields. " +
        "tree: each trace as a tree (spans; metrics and logs as basic).",
    ),
  sampling_initial: z
    .int()
    .min(0)
    .default(2)
    .describe("Batches printed in each second before sampling begins."),
  sampling_thereafter: z
    .int()
    .min(0)
    .default(1)
    .describe("Then every so many-th batch is printed; 1 is all, 0 none."),
  use_internal_logger: z.boolean().default(true).describe("Accepted; see the README."),
  output_paths: z
    .array(z.enum(["stdout"], { error: 'only "stdout" is supported' }))
    .default(["stdout"])
    .describe("Only stdout."),
  tree: tree.prefault({}).describe("Options of the verbosity tree."),
});
