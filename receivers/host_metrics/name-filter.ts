// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { compileRe2 } from "../../src/config/re2.ts";

export type NameTest = (name: string) => boolean;

const IGNORED = z.looseObject({}).optional().describe("Accepted, without effect.");

/** `{KEY: [...], match_type: strict | regexp}` as a test; undefined when it is not set. */
export function namesSchema(key: string, what: string): z.ZodType<NameTest | undefined> {
  const names = z.array(z.string()).default([]).describe(`Names of ${what}.`);
  const match = z.enum(["strict", "regexp"]).describe("strict or regexp.");
  const shape = { [key]: names, match_type: match, regexp: IGNORED };
  // Of a computed key the type is not known: what was checked is read again.
  const known = z.object({ [key]: names }).transform((input) => input[key] ?? []);
  const kind = z.object({ match_type: match });
  return z
    .strictObject(shape)
    .transform((input, context): NameTest => {
      const listed = known.parse(input);
      if (kind.parse(input).match_type === "strict") return (name) => listed.includes(name);
      const tests = listed.map((pattern) => {
        const compiled = compileRe2(pattern);
        if (typeof compiled !== "string") return compiled.regexp;
        context.addIssue({ code: "custom", path: [key], message: `"${pattern}": ${compiled}` });
        return undefined;
      });
      return (name) => tests.some((test) => test?.test(name) === true);
    })
    .optional();
}

/** Included, or nothing is said about it, and not excluded. */
export function passes(
  name: string,
  include: NameTest | undefined,
  exclude: NameTest | undefined,
): boolean {
  return (include?.(name) ?? true) && !(exclude?.(name) ?? false);
}
