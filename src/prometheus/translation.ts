// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

const STRATEGIES = ["UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"] as const;

type Strategy = (typeof STRATEGIES)[number];

/** How an exporter's configuration says that names become Prometheus'. */
export interface TranslationConfig {
  readonly add_metric_suffixes: boolean;
  readonly translation_strategy?: Strategy | undefined;
}

/** The fields of `TranslationConfig`, for a schema. */
export const translationFields: {
  readonly add_metric_suffixes: z.ZodDefault<z.ZodBoolean>;
  readonly translation_strategy: z.ZodType<Strategy | undefined>;
} = {
  add_metric_suffixes: z
    .boolean()
    .default(true)
    .describe("Add unit and _total to names. translation_strategy overrides it."),
  translation_strategy: z
    .enum(STRATEGIES, {
      error: `unknown translation strategy, or one that is not supported yet. Write "${STRATEGIES.join('" or "')}"`,
    })
    .optional()
    .describe("How names become Prometheus'."),
};

/** Do names get unit and `_total`? */
export function hasSuffixes(config: TranslationConfig): boolean {
  const { translation_strategy: strategy, add_metric_suffixes } = config;
  return strategy === undefined ? add_metric_suffixes : !strategy.endsWith("WithoutSuffixes");
}
