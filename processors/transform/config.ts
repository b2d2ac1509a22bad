// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { ContextName } from "../../src/ottl/paths.ts";
import { compileGroup, type StatementGroup } from "../../src/ottl/statement.ts";

export type ErrorMode = "ignore" | "silent" | "propagate";

export interface TransformGroup extends StatementGroup {
  /** Undefined: the processor's. */
  readonly errorMode: ErrorMode | undefined;
}

export interface TransformConfig {
  readonly error_mode: ErrorMode;
  readonly flatten_data: boolean;
  readonly trace_statements: readonly TransformGroup[];
  readonly metric_statements: readonly TransformGroup[];
  readonly log_statements: readonly TransformGroup[];
}

const errorMode = z.enum(["ignore", "silent", "propagate"], {
  error: 'unknown error mode. Write "ignore", "silent" or "propagate"',
});

interface Written {
  readonly context?: string | undefined;
  readonly error_mode?: ErrorMode | undefined;
  readonly conditions: readonly string[];
  readonly statements: readonly string[];
}

function groups(
  contexts: readonly ContextName[],
  what: string,
): z.ZodType<readonly TransformGroup[], unknown> {
  const group = z.strictObject({
    context: z
      .enum(contexts, { error: `unknown context. Contexts here are ${contexts.join(", ")}` })
      .optional()
      .describe("What the statements are about; found by their paths when it is left out."),
    error_mode: errorMode.optional().describe("In place of the processor's, for this group."),
    conditions: z
      .array(z.string())
      .default([])
      .describe("The statements are run when one of these is true, or when there is none."),
    statements: z.array(z.string()).default([]).describe("What is done, in this order."),
  });
  return z
    .array(z.union([z.string(), group], { error: "expected a statement or a group of statements" }))
    .default([])
    .transform((list, issues): readonly TransformGroup[] => {
      const texts = list.filter((one) => typeof one === "string");
      if (texts.length > 0 && texts.length < list.length) {
        const message =
          "configuring multiple configuration styles is not supported. Write statements, or groups of them";
        issues.addIssue({ code: "custom", message });
        return [];
      }
      const isFlat = texts.length > 0;
      const written: Written[] = isFlat
        ? [{ conditions: [], statements: texts }]
        : list.filter((one) => typeof one !== "string");
      return written.flatMap(({ context, statements, conditions, error_mode }, index) => {
        if (statements.length === 0) return [];
        const own = contexts.find((name) => name === context);
        const result = compileGroup({ context: own, contexts, statements, conditions });
        if (!("message" in result)) return [{ ...result, errorMode: error_mode }];
        const { message, statement, condition } = result;
        const inside =
          statement >= 0
            ? ["statements", statement]
            : condition >= 0
              ? ["conditions", condition]
              : [];
        const path = isFlat ? (statement >= 0 ? [statement] : []) : [index, ...inside];
        issues.addIssue({ code: "custom", path, message });
        return [];
      });
    })
    .describe(what);
}

const SHAPE = "Statements, or groups of them with a context, conditions and an error_mode.";

export const configSchema: z.ZodType<TransformConfig> = z.strictObject({
  error_mode: errorMode
    .default("ignore")
    .describe("What an error in a statement costs: nothing (ignore, silent) or the batch."),
  flatten_data: z
    .literal(false, { error: "is not supported. Leave it out" })
    .default(false)
    .describe("Refused when true."),
  trace_statements: groups(["resource", "scope", "span", "spanevent"], SHAPE),
  metric_statements: groups(["resource", "scope", "metric", "datapoint"], SHAPE),
  log_statements: groups(["resource", "scope", "log"], SHAPE),
});
