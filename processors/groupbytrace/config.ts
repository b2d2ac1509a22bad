// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface GroupByTraceConfig {
  readonly wait_duration: number;
  readonly num_traces: number;
  readonly num_workers: number;
  readonly discard_orphans: false;
  readonly store_on_disk: false;
}

const never = (what: string): z.ZodType<false, boolean | undefined> =>
  z
    .boolean()
    .default(false)
    .refine((value) => !value, { error: `option not supported: ${what}. Leave it out` })
    .transform((): false => false)
    .describe("Refused when true, as the Collector does.");

export const configSchema: z.ZodType<GroupByTraceConfig> = z.strictObject({
  wait_duration: duration({ positive: true })
    .default(1_000)
    .describe("From a trace's first span until it is passed on."),
  num_traces: z
    .int()
    .positive()
    .default(1_000_000)
    .describe("Traces that wait; the oldest is passed on sooner when there are more."),
  num_workers: z.int().positive().default(1).describe("Accepted and not needed."),
  discard_orphans: never("discard_orphans"),
  store_on_disk: never("store_on_disk"),
});
