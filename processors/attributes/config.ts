// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { actionsSchema } from "../../src/attributes/action-schema.ts";
import type { AttributeAction } from "../../src/attributes/actions.ts";
import { type MatchProperties, matchSchema } from "../../src/attributes/match.ts";

export interface AttributesConfig {
  readonly actions: readonly AttributeAction[];
  readonly include?: MatchProperties | undefined;
  readonly exclude?: MatchProperties | undefined;
}

export const configSchema: z.ZodType<AttributesConfig> = z
  .strictObject({
    actions: actionsSchema().default([]).describe("What is done, in this order."),
    include: matchSchema().describe("Only items that match all of this."),
    exclude: matchSchema().describe("Not items that match all of this; after include."),
  })
  .refine(({ actions }) => actions.length > 0, {
    error: 'missing required field "actions". Add a list of actions',
  });
