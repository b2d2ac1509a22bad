// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface MemoryLimiterConfig {
  /** Milliseconds. */
  readonly check_interval: number;
  readonly limit_mib: number;
  /** 0: a fifth of the limit. */
  readonly spike_limit_mib: number;
  readonly limit_percentage: number;
  readonly spike_limit_percentage: number;
  readonly min_gc_interval_when_soft_limited: number;
  readonly min_gc_interval_when_hard_limited: number;
}

const percentage = z
  .number()
  .min(0)
  .max(100, {
    error:
      "'limit_percentage' and 'spike_limit_percentage' must be greater than zero and less than " +
      "or equal to hundred",
  });

export const configSchema: z.ZodType<MemoryLimiterConfig> = z
  .strictObject({
    check_interval: duration()
      .default(0)
      .describe("How often memory is measured; required, for example 1s."),
    limit_mib: z.int().min(0).default(0).describe("Hard limit, MiB. Wins over limit_percentage."),
    spike_limit_mib: z
      .int()
      .min(0)
      .default(0)
      .describe("Data is refused above limit - spike limit; 0 is 20 % of the limit."),
    limit_percentage: percentage
      .default(0)
      .describe("Hard limit as a part of the machine's or the cgroup's memory."),
    spike_limit_percentage: percentage.default(0).describe("The spike limit, likewise."),
    min_gc_interval_when_soft_limited: duration()
      .default(10_000)
      .describe("Least time between garbage collections that are forced above the soft limit."),
    min_gc_interval_when_hard_limited: duration()
      .default(0)
      .describe("Likewise above the hard limit."),
  })
  .superRefine((config, context) => {
    const refuse = (key: keyof MemoryLimiterConfig, message: string): void => {
      context.addIssue({ code: "custom", path: [key], message });
    };
    if (config.check_interval <= 0) {
      refuse(
        "check_interval",
        "'check_interval' must be greater than zero. Set it, for example, to 1s",
      );
    }
    if (config.limit_mib === 0 && config.limit_percentage === 0) {
      refuse("limit_mib", "'limit_mib' or 'limit_percentage' must be greater than zero");
    }
    if (config.limit_mib > 0 && config.spike_limit_mib >= config.limit_mib) {
      refuse("spike_limit_mib", "'spike_limit_mib' must be smaller than 'limit_mib'");
    }
    const { limit_percentage: limit, spike_limit_percentage: spike } = config;
    if (config.limit_mib === 0 && limit > 0 && spike >= limit) {
      refuse(
        "spike_limit_percentage",
        "'spike_limit_percentage' must be smaller than 'limit_percentage'",
      );
    }
  });
