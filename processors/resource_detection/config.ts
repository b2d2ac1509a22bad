// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { compileRe2 } from "../../src/config/re2.ts";
import { duration } from "../../src/config/types.ts";

export const DETECTORS = [
  "env",
  "system",
  "host",
  "os",
  "process",
  "docker",
  "container",
  "ec2",
  "eks",
  "gcp",
  "gke",
  "azure",
  "aks",
] as const;
export type DetectorName = (typeof DETECTORS)[number];

/** Attributes switched on or off beside the detector's defaults. */
export type Switches = ReadonlyMap<string, boolean>;

export interface ResourceDetectionConfig {
  readonly detectors: readonly DetectorName[];
  readonly timeout: number;
  readonly override: boolean;
  readonly attributes: readonly string[];
  readonly refresh_interval: number;
  readonly fail_on_missing_metadata: boolean;
  readonly system: {
    readonly hostname_sources: readonly ("dns" | "os")[];
    readonly resource_attributes: Switches;
  };
  readonly docker: { readonly endpoint: string; readonly resource_attributes: Switches };
  readonly ec2: {
    readonly tags: readonly RegExp[];
    readonly tags_from_imds: boolean;
    readonly resource_attributes: Switches;
  };
  readonly eks: { readonly resource_attributes: Switches };
  readonly gcp: { readonly resource_attributes: Switches };
  readonly azure: { readonly tags: readonly RegExp[]; readonly resource_attributes: Switches };
  readonly aks: { readonly resource_attributes: Switches };
}

const switches = (): z.ZodType<Switches, Record<string, { enabled: boolean }> | undefined> =>
  z
    .record(z.string(), z.strictObject({ enabled: z.boolean().describe("Add it or not.") }))
    .default({})
    .transform(
      (given): Switches =>
        new Map(Object.entries(given).map(([name, { enabled }]) => [name, enabled])),
    )
    .describe("By attribute: `enabled`, beside the detector's defaults.");

const patterns = (): z.ZodType<readonly RegExp[], string[] | undefined> =>
  z
    .array(
      z.string().transform((text, context): RegExp => {
        const compiled = compileRe2(text);
        if (typeof compiled !== "string") return compiled.regexp;
        context.addIssue({ code: "custom", message: compiled });
        return z.NEVER;
      }),
    )
    .default([])
    .describe("Regular expressions: tags whose key matches become attributes.");

const own = (): z.ZodType<{ readonly resource_attributes: Switches }, unknown> =>
  z.strictObject({ resource_attributes: switches() });

export const configSchema: z.ZodType<ResourceDetectionConfig> = z.strictObject({
  detectors: z
    .array(z.enum(DETECTORS, { error: `is not one of: ${DETECTORS.join(", ")}` }))
    .default(["env"])
    .describe("Asked in this order; of one attribute the first counts."),
  timeout: duration({ positive: true }).default(5_000).describe("For all tries of a detector."),
  override: z.boolean().default(true).describe("Replace what a resource has already."),
  attributes: z.array(z.string()).default([]).describe("Only these attributes; empty: all."),
  refresh_interval: duration().default(0).describe("Detect again after this; 0s: never."),
  fail_on_missing_metadata: z
    .boolean()
    .default(false)
    .describe("Do not start when a detector finds nothing."),
  system: z
    .strictObject({
      hostname_sources: z
        .array(z.enum(["dns", "os"]))
        .min(1)
        .default(["dns", "os"])
        .describe("dns: the full name; os: the kernel's. The first that has one."),
      resource_attributes: switches(),
    })
    .prefault({ resource_attributes: {} })
    .describe("Of system, host and os."),
  docker: z
    .strictObject({
      endpoint: z
        .string()
        .startsWith("unix://", { error: "write unix:///path/of/docker.sock" })
        .default("unix:///var/run/docker.sock")
        .describe("Docker's socket."),
      resource_attributes: switches(),
    })
    .prefault({ resource_attributes: {} })
    .describe("Of docker."),
  ec2: z
    .strictObject({
      tags: patterns(),
      tags_from_imds: z
        .boolean()
        .default(false)
        .describe("Tags come from the metadata service; must be true for tags."),
      resource_attributes: switches(),
    })
    .refine(({ tags, tags_from_imds: fromImds }) => tags.length === 0 || fromImds, {
      error:
        "tags by the DescribeTags API are not supported. Allow tags in the instance's metadata " +
        "and set tags_from_imds: true",
    })
    .prefault({ tags: [], resource_attributes: {} })
    .describe("Of ec2."),
  eks: own().prefault({}).describe("Of eks."),
  gcp: own().prefault({}).describe("Of gcp and gke."),
  azure: z
    .strictObject({ tags: patterns(), resource_attributes: switches() })
    .prefault({ tags: [], resource_attributes: {} })
    .describe("Of azure."),
  aks: own().prefault({}).describe("Of aks."),
});
