// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { opaque, type Secret } from "../../src/config/types.ts";

export const ACTIONS = ["insert", "update", "upsert", "delete"] as const;
export type Action = (typeof ACTIONS)[number];

export interface HeaderRule {
  /** Lower case. */
  readonly key: string;
  readonly action: Action;
  readonly value: Secret | undefined;
  readonly valueFile: string;
  /** Lower case; "" when the value does not come from the request that brought the data. */
  readonly fromContext: string;
  readonly defaultValue: Secret | undefined;
}

export interface HeadersSetterConfig {
  readonly headers: readonly HeaderRule[];
  /** Id of an extension whose headers come first; "" for none. */
  readonly additional_auth: string;
}

const rule = z
  .strictObject({
    key: z.string().default("").describe("Name of the header."),
    action: z.enum(ACTIONS).default("upsert").describe("insert, update, upsert or delete."),
    value: opaque().optional().describe("The value."),
    value_file: z.string().default("").describe("File with the value; read when it changes."),
    from_context: z.string().default("").describe("Header of the request that brought the data."),
    from_attribute: z
      .never({ error: "is not supported: what authenticated the sender has no attributes here" })
      .optional(),
    default_value: opaque().optional().describe("In place of a header that the request lacked."),
  })
  .transform((one, context): HeaderRule => {
    const sources = [one.value !== undefined, one.value_file !== "", one.from_context !== ""];
    const given = sources.filter(Boolean).length;
    const problem =
      one.key === ""
        ? "missing header key. Set key: X-Scope-OrgID"
        : one.action !== "delete" && given === 0
          ? "missing header source, must be 'value', 'value_file' or 'from_context'"
          : given > 1
            ? "invalid header source, must only have one of 'value', 'value_file' or 'from_context'"
            : undefined;
    if (problem !== undefined) {
      context.addIssue({ code: "custom", message: problem });
      return z.NEVER;
    }
    return {
      key: one.key.toLowerCase(),
      action: one.action,
      value: one.value,
      valueFile: one.value_file,
      fromContext: one.from_context.toLowerCase(),
      defaultValue: one.default_value,
    };
  });

export const configSchema: z.ZodType<HeadersSetterConfig> = z
  .strictObject({
    headers: z.array(rule).default([]).describe("What is done, in order."),
    additional_auth: z.string().default("").describe("Extension whose headers come first."),
  })
  .refine(({ headers }) => headers.length > 0, {
    error: "missing headers configuration. Set headers: [{key, value}]",
  });
