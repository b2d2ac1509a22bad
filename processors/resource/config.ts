// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { actionsSchema } from "../../src/attributes/action-schema.ts";
import type { AttributeAction } from "../../src/attributes/actions.ts";

export interface ResourceConfig {
  readonly attributes: readonly AttributeAction[];
}

export const configSchema: z.ZodType<ResourceConfig> = z
  .strictObject({
    attributes: actionsSchema().default([]).describe("What is done, in this order."),
  })
  .refine(({ attributes }) => attributes.length > 0, {
    error: 'missing required field "attributes". Add a list of actions',
  });
