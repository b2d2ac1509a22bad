// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type Condition, compileCondition } from "../../src/ottl/condition.ts";
import type { ContextName } from "../../src/ottl/paths.ts";

export interface FilterConfig {
  readonly error_mode: "ignore" | "silent" | "propagate";
  readonly traces: {
    readonly resource: readonly Condition[];
    readonly span: readonly Condition[];
    readonly spanevent: readonly Condition[];
  };
  readonly metrics: {
    readonly resource: readonly Condition[];
    readonly metric: readonly Condition[];
    readonly datapoint: readonly Condition[];
  };
  readonly logs: {
    readonly resource: readonly Condition[];
    readonly log_record: readonly Condition[];
  };
}

function conditions(context: ContextName, what: string): z.ZodType<readonly Condition[], unknown> {
  return z
    .array(z.string())
    .default([])
    .transform((texts, issues): readonly Condition[] =>
      texts.flatMap((text, index) => {
        const compiled = compileCondition(text, context);
        if (typeof compiled !== "string") return [compiled];
        issues.addIssue({ code: "custom", path: [index], message: compiled });
        return [];
      }),
    )
    .describe(what);
}

const legacy = z
  .undefined({
    error: "include and exclude are not supported. Write OTTL conditions of what is to be dropped",
  })
  .optional()
  .describe("Refused: write OTTL conditions.");
const inferred = z
  .undefined({
    error: "is not supported yet. Write the conditions under traces, metrics or logs",
  })
  .optional()
  .describe("Refused: write the conditions under traces, metrics or logs.");

export const configSchema: z.ZodType<FilterConfig> = z.strictObject({
  error_mode: z
    .enum(["ignore", "silent", "propagate"], {
      error: 'unknown error mode. Write "ignore", "silent" or "propagate"',
    })
    .default("ignore")
    .describe("What an error in a condition costs: nothing (ignore, silent) or the batch."),
  traces: z
    .strictObject({
      resource: conditions("resource", "Drops all of the resource."),
      span: conditions("span", "Drops the span."),
      spanevent: conditions("spanevent", "Drops the span event."),
    })
    .prefault({ resource: [], span: [], spanevent: [] }),
  metrics: z
    .strictObject({
      resource: conditions("resource", "Drops all of the resource."),
      metric: conditions("metric", "Drops the metric."),
      datapoint: conditions("datapoint", "Drops the data point."),
      include: legacy,
      exclude: legacy,
    })
    .prefault({ resource: [], metric: [], datapoint: [] }),
  logs: z
    .strictObject({
      resource: conditions("resource", "Drops all of the resource."),
      log_record: conditions("log", "Drops the log record."),
      include: legacy,
      exclude: legacy,
    })
    .prefault({ resource: [], log_record: [] }),
  spans: legacy,
  trace_conditions: inferred,
  metric_conditions: inferred,
  log_conditions: inferred,
});
