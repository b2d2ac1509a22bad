// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";
import { configSchema as otlpSchema } from "../otlp_grpc/config.ts";

export const ROUTING_KEYS = ["", "traceID", "service", "resource", "stitch"] as const;

export interface LoadBalancingConfig {
  /** Empty: `traceID` for traces, `service` for metrics. */
  readonly routing_key: (typeof ROUTING_KEYS)[number];
  readonly protocol: { readonly otlp: Readonly<Record<string, unknown>> };
  readonly resolver: ResolverConfig;
}

export interface ResolverConfig {
  readonly static?: { readonly hostnames: readonly string[] } | undefined;
  readonly dns?: DnsConfig | undefined;
}

export interface DnsConfig {
  readonly hostname: string;
  readonly port: string;
  readonly interval: number;
  readonly timeout: number;
}

/** Checked with any endpoint: those of the backends come from the resolver. */
const otlp = z
  .record(z.string(), z.unknown())
  .default({})
  .superRefine((options, context) => {
    if ("endpoint" in options) {
      const message = "endpoint comes from the resolver. Leave it out";
      context.addIssue({ code: "custom", path: ["endpoint"], message });
      return;
    }
    const checked = otlpSchema.safeParse({ ...options, endpoint: "localhost:4317" });
    for (const { path, message } of checked.error?.issues ?? []) {
      context.addIssue({ code: "custom", path: [...path], message });
    }
  })
  .describe("Options of `otlp_grpc` but for `endpoint`.");

const dns = z.strictObject({
  hostname: z.string().min(1, { error: "no hostname specified" }).describe("Name to look up."),
  port: z.string().default("4317").describe("Port of the backends."),
  interval: duration({ minMs: 100 }).default(5000).describe("How often the name is looked up."),
  timeout: duration({ positive: true }).default(1000).describe("For one answer."),
});

export const configSchema: z.ZodType<LoadBalancingConfig> = z.strictObject({
  routing_key: z
    .enum(ROUTING_KEYS)
    .default("")
    .describe(
      "What goes to one backend together: `traceID`, `service`, `resource` (metrics), or " +
        "`stitch`: by trace, and gateways learn from each other's traces what they need to join " +
        "pieces. Empty: `traceID` for traces, `service` for metrics.",
    ),
  protocol: z.strictObject({ otlp }).prefault({ otlp: {} }),
  resolver: z
    .strictObject({
      static: z
        .strictObject({
          hostnames: z
            .array(z.string().min(1))
            .min(1, { error: "no hostnames specified to resolve the backends" })
            .describe("`host` or `host:port`; the port is 4317 by default."),
        })
        .optional()
        .describe("Backends that do not change."),
      dns: dns.optional().describe("All addresses that a name has, a headless Service's."),
    })
    .refine((given) => (given.static === undefined) !== (given.dns === undefined), {
      error: "exactly one resolver should be specified: `static` or `dns`",
    }),
});
