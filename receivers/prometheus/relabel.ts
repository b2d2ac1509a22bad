// SPDX-License-Identifier: Apache-2.0
// prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
import { createHash } from "node:crypto";
import { z } from "zod";
import { compileRe2 } from "../../src/config/re2.ts";

const ACTIONS = [
  ...["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep"],
  ...["lowercase", "uppercase", "keepequal", "dropequal"],
] as const;

/** Changes `labels`; false when the target or series is dropped. */
export type Relabel = (labels: Map<string, string>) => boolean;

interface Rule {
  readonly source_labels: readonly string[];
  readonly separator: string;
  readonly target_label: string;
  readonly regex: RegExp;
  readonly modulus: number;
  readonly replacement: string;
  readonly action: string;
}

const NEEDS_TARGET: ReadonlySet<string> = new Set([
  ...["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"],
]);

const rule = z
  .strictObject({
    source_labels: z.array(z.string()).default([]).describe("Their values are joined."),
    separator: z.string().default(";").describe("Between the values."),
    target_label: z.string().default("").describe("What is written to."),
    regex: z
      .string()
      .default("(.*)")
      .transform((text, context): RegExp => {
        const compiled = compileRe2(`^(?:${text})$`);
        if (typeof compiled !== "string") return compiled.regexp;
        context.addIssue({ code: "custom", message: compiled });
        return z.NEVER;
      })
      .describe("Must match all of the joined values."),
    modulus: z.int().min(0).default(0).describe("For hashmod."),
    replacement: z.string().default("$1").describe("With $1 and so on for groups."),
    action: z
      .string()
      .default("replace")
      .transform((text) => text.toLowerCase())
      .refine((text) => ACTIONS.some((one) => one === text), {
        error: `unknown relabel action. Actions are ${ACTIONS.join(", ")}`,
      })
      .describe("What is done."),
  })
  .superRefine((one, context) => {
    if (NEEDS_TARGET.has(one.action) && one.target_label === "") {
      const message = `relabel configuration for ${one.action} action requires 'target_label' value`;
      context.addIssue({ code: "custom", path: ["target_label"], message });
    }
    if (one.action === "hashmod" && one.modulus === 0) {
      const message = "relabel configuration for hashmod requires non-zero modulus";
      context.addIssue({ code: "custom", path: ["modulus"], message });
    }
  });

export const relabelSchema: z.ZodType<Relabel> = z
  .array(rule)
  .default([])
  .transform(
    (rules): Relabel =>
      (labels) =>
        rules.every((one) => apply(one, labels)),
  );

function apply(one: Rule, labels: Map<string, string>): boolean {
  const { action, regex, target_label: target } = one;
  const value = one.source_labels.map((name) => labels.get(name) ?? "").join(one.separator);
  switch (action) {
    case "keep":
      return regex.test(value);
    case "drop":
      return !regex.test(value);
    case "keepequal":
      return value === (labels.get(target) ?? "");
    case "dropequal":
      return value !== (labels.get(target) ?? "");
    case "lowercase":
    case "uppercase":
      set(labels, target, action === "lowercase" ? value.toLowerCase() : value.toUpperCase());
      return true;
    case "hashmod":
      set(labels, target, hashed(value, one.modulus));
      return true;
    case "replace":
      replace(one, value, labels);
      return true;
    default:
      renameOrRemove(one, labels);
      return true;
  }
}

function replace(
  { regex, target_label, replacement }: Rule,
  value: string,
  labels: Map<string, string>,
) {
  const match = regex.exec(value);
  if (match === null) return;
  const name = expand(target_label, match);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return;
  set(labels, name, expand(replacement, match));
}

function renameOrRemove({ action, regex, replacement }: Rule, labels: Map<string, string>): void {
  for (const [name, value] of [...labels]) {
    const match = regex.exec(name);
    if (action === "labelmap") {
      if (match !== null) labels.set(expand(replacement, match), value);
    } else if ((match !== null) === (action === "labeldrop")) labels.delete(name);
  }
}

/** An empty value takes the label away. */
function set(labels: Map<string, string>, name: string, value: string): void {
  if (value === "") labels.delete(name);
  else labels.set(name, value);
}

function expand(template: string, match: RegExpExecArray): string {
  return template.replace(/\$(?:\{(\w+)\}|(\w+)|(\$))/g, (_, braced, bare, dollar) => {
    if (dollar !== undefined) return "$";
    return match[Number(braced ?? bare)] ?? "";
  });
}

/** The last eight bytes of the MD5, as Prometheus takes them. */
function hashed(value: string, modulus: number): string {
  const sum = createHash("md5").update(value).digest().readBigUInt64BE(8);
  return String(sum % BigInt(modulus));
}
