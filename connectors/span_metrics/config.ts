// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";

export interface Dimension {
  readonly name: string;
  readonly default?: string | undefined;
}

export interface SpanMetricsConfig {
  readonly namespace: string;
  readonly dimensions: readonly Dimension[];
  readonly calls_dimensions: readonly Dimension[];
  readonly exclude_dimensions: readonly string[];
  readonly include_instrumentation_scope: readonly string[];
  readonly histogram: {
    readonly disable: boolean;
    readonly unit: "ms" | "s";
    readonly dimensions: readonly Dimension[];
    readonly explicit?: { readonly buckets: readonly number[] } | undefined;
    readonly exponential?: { readonly max_size: number } | undefined;
  };
  readonly exemplars: { readonly enabled: boolean; readonly max_per_data_point: number };
  readonly events: { readonly enabled: boolean; readonly dimensions: readonly Dimension[] };
  readonly aggregation_temporality:
    | "AGGREGATION_TEMPORALITY_CUMULATIVE"
    | "AGGREGATION_TEMPORALITY_DELTA";
  readonly metrics_flush_interval: number;
  readonly metrics_expiration: number;
  readonly aggregation_cardinality_limit: number;
  readonly dimensions_cache_size: number;
  readonly resource_metrics_cache_size: number;
  readonly resource_metrics_key_attributes: readonly string[];
  readonly metric_timestamp_cache_size: number;
}

const DEFAULT_DIMENSIONS = ["service.name", "span.name", "span.kind", "status.code"];

function dimensions(what: string): z.ZodType<readonly Dimension[], unknown> {
  const dimension = z.strictObject({
    name: z.string().min(1, { error: "a dimension needs a name" }).describe("Attribute."),
    default: z.string().optional().describe("For spans without it; else it is left out."),
  });
  return z.array(dimension).default([]).describe(what);
}

const histogram = z
  .strictObject({
    disable: z.boolean().default(false).describe("No duration metric."),
    unit: z.enum(["ms", "s"], { error: 'unknown unit. Write "ms" or "s"' }).default("ms"),
    dimensions: dimensions("Further dimensions of the duration metric only."),
    explicit: z
      .strictObject({
        buckets: z.array(duration()).default([]).describe("Upper bounds, as durations."),
      })
      .optional()
      .describe("Buckets with these bounds; the default kind."),
    exponential: z
      .strictObject({
        max_size: z.int().min(2).default(160).describe("Buckets at most."),
      })
      .optional()
      .describe("Buckets that grow by a factor."),
  })
  .refine(({ explicit, exponential }) => explicit === undefined || exponential === undefined, {
    error: "use either `explicit` or `exponential` buckets histogram",
  })
  .prefault({ dimensions: [] });

const size = (value: number, what: string): z.ZodType<number, number | undefined> =>
  z.int().positive({ error: "must be positive" }).default(value).describe(what);

export const configSchema: z.ZodType<SpanMetricsConfig> = z
  .strictObject({
    namespace: z.string().default("traces.span.metrics").describe("Before each metric's name."),
    dimensions: dimensions("Attributes of spans or resources that become dimensions."),
    calls_dimensions: dimensions("Further dimensions of the calls metric only."),
    exclude_dimensions: z
      .array(z.string())
      .default([])
      .describe("Dimensions that are left out, of the default ones, too."),
    include_instrumentation_scope: z
      .array(z.string())
      .default([])
      .describe("Scopes of which name and version become dimensions."),
    histogram,
    exemplars: z
      .strictObject({
        enabled: z.boolean().default(false).describe("Spans as exemplars of the metrics."),
        max_per_data_point: size(5, "Exemplars of one data point between two flushes."),
      })
      .prefault({ max_per_data_point: 5 }),
    events: z
      .strictObject({
        enabled: z.boolean().default(false).describe("Counts the spans' events, too."),
        dimensions: dimensions("Attributes of events that become dimensions of the events metric."),
      })
      .refine(({ enabled, dimensions: list }) => !enabled || list.length > 0, {
        error: "no dimensions configured for events",
      })
      .prefault({ dimensions: [] }),
    aggregation_temporality: z
      .enum(["AGGREGATION_TEMPORALITY_CUMULATIVE", "AGGREGATION_TEMPORALITY_DELTA"])
      .default("AGGREGATION_TEMPORALITY_CUMULATIVE"),
    metrics_flush_interval: duration({ positive: true })
      .default(60_000)
      .describe("How often metrics are given out."),
    metrics_expiration: duration()
      .default(0)
      .describe("Series without a span for so long are forgotten; 0 is never."),
    aggregation_cardinality_limit: z
      .int()
      .min(0)
      .default(0)
      .describe("Series of one metric and resource; the rest is one series. 0: 100,000."),
    dimensions_cache_size: size(1000, "Accepted and not needed."),
    resource_metrics_cache_size: size(1000, "Resources of which metrics are kept."),
    resource_metrics_key_attributes: z
      .array(z.string())
      .default([])
      .describe("Resources that have these in common are one; none: all attributes."),
    metric_timestamp_cache_size: size(1000, "Delta series of which the last time is kept."),
  })
  .superRefine((config, context) => {
    for (const key of ["dimensions", "calls_dimensions"] as const) {
      const all = key === "dimensions" ? config.dimensions : [...config.dimensions, ...config[key]];
      const names = [...DEFAULT_DIMENSIONS, ...all.map(({ name }) => name)];
      const twice = names.find((name, at) => names.indexOf(name) !== at);
      if (twice === undefined) continue;
      const message = `duplicate dimension name "${twice}". Keep one of each`;
      context.addIssue({ code: "custom", path: [key], message });
    }
  });
