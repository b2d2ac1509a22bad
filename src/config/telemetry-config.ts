// SPDX-License-Identifier: Apache-2.0
/** `service::telemetry`, with the Collector's keys and defaults. */
import { z } from "zod";
import {
  type OwnProcessor,
  type OwnSampler,
  ownProcessorSchema,
  ownSamplerSchema,
  type PeriodicReader,
  periodicSchema,
} from "./telemetry-otlp.ts";
import { duration } from "./types.ts";

export type MetricsLevel = "none" | "basic" | "normal" | "detailed";
export type TelemetryLogLevel = "debug" | "info" | "warn" | "error";

export interface LogSampling {
  readonly enabled: boolean;
  /** ms */
  readonly tick: number;
  readonly initial: number;
  readonly thereafter: number;
}

export interface LogsConfig {
  readonly level: TelemetryLogLevel;
  readonly encoding: "console" | "json";
  readonly output_paths: readonly string[];
  readonly initial_fields: Readonly<Record<string, string | number | boolean>>;
  readonly sampling: LogSampling;
  readonly processors: readonly OwnProcessor[];
}

/** One pull reader: our metrics as Prometheus text. */
export interface PrometheusReader {
  readonly host: string;
  readonly port: number;
}

/** Exactly one of both. */
export interface MetricReader {
  readonly prometheus?: PrometheusReader | undefined;
  readonly periodic?: PeriodicReader | undefined;
}

export interface TelemetryConfig {
  readonly logs: LogsConfig;
  readonly metrics: {
    readonly level: MetricsLevel;
    readonly readers: readonly MetricReader[];
  };
  readonly traces: {
    readonly level: MetricsLevel;
    /** None: own traces are off. */
    readonly processors: readonly OwnProcessor[];
    readonly sampler: OwnSampler;
  };
  /** Null removes a default attribute. */
  readonly resource: Readonly<Record<string, string | null>>;
}

const DEFAULT_READER: PrometheusReader = { host: "localhost", port: 8888 };

const LOG_LEVELS = ["debug", "info", "warn", "error", "dpanic", "panic", "fatal"] as const;

const logLevel = z.preprocess(
  (value) => (typeof value === "string" ? value.toLowerCase() : value),
  z.enum(LOG_LEVELS).transform(toLogLevel),
);

function toLogLevel(level: (typeof LOG_LEVELS)[number]): TelemetryLogLevel {
  return level === "dpanic" || level === "panic" || level === "fatal" ? "error" : level;
}

const sampling = z.strictObject({
  enabled: z.boolean().default(true).describe("Write fewer of lines that repeat."),
  tick: duration({ positive: true }).default(10_000).describe("Counting period."),
  initial: z.int().min(0).default(10).describe("Equal lines written in each period first."),
  thereafter: z.int().min(0).default(100).describe("After these, one in so many; 0 is none."),
});

const logs = z.strictObject({
  level: logLevel.default("info").describe("debug, info, warn or error."),
  encoding: z.enum(["console", "json"]).default("console").describe("Form of a line."),
  output_paths: z.array(z.string().min(1)).default(["stderr"]).describe("stderr, stdout or files."),
  error_output_paths: z.array(z.string()).default(["stderr"]).describe("Accepted, not used."),
  disable_caller: z.boolean().default(false).describe("Accepted: lines never name the caller."),
  disable_stacktrace: z.boolean().default(false).describe("Accepted: lines have no stack trace."),
  development: z.boolean().default(false).describe("Accepted, not used."),
  disable_zap_resource: z.boolean().default(false).describe("Accepted, not used."),
  initial_fields: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe("Fields that every line gets."),
  sampling: sampling.prefault({}),
  processors: z
    .array(ownProcessorSchema(1_000))
    .default([])
    .describe("Where lines go besides output_paths."),
});

const prometheus = z.strictObject({
  host: z.string().default(DEFAULT_READER.host),
  port: z.int().min(0).max(65_535).default(DEFAULT_READER.port),
  without_scope_info: z.literal(true).default(true),
  without_units: z.literal(true).default(true),
  without_type_suffix: z.literal(true).default(true),
  with_resource_constant_labels: z.unknown().optional(),
});

const reader = z
  .strictObject({
    pull: z.strictObject({ exporter: z.strictObject({ prometheus }) }).optional(),
    periodic: periodicSchema.optional(),
  })
  .transform(({ pull, periodic }, context): MetricReader => {
    if ((pull === undefined) === (periodic === undefined)) {
      context.addIssue({
        code: "custom",
        message:
          "must be one of pull: {exporter: {prometheus: {host, port}}} and " +
          "periodic: {exporter: {otlp: {protocol, endpoint}}}",
      });
      return z.NEVER;
    }
    const prometheus = pull?.exporter.prometheus;
    if (prometheus === undefined) return { periodic };
    return { prometheus: { host: prometheus.host, port: prometheus.port } };
  });

const level = z
  .preprocess(
    (value) => (typeof value === "string" ? value.toLowerCase() : value),
    z.enum(["none", "basic", "normal", "detailed"]),
  )
  .default("normal");

const metrics = z
  .strictObject({
    level: level.describe("none switches our own metrics off."),
    readers: z.array(reader).prefault([{ pull: { exporter: { prometheus: {} } } }]),
  })
  .refine((config) => config.level === "none" || config.readers.length > 0, {
    error:
      "collector telemetry metrics reader should exist when metric level is not none. Add one to readers, or set level: none",
  });

const traces = z.strictObject({
  level: level.describe("none switches own traces off."),
  propagators: z
    .array(z.enum(["tracecontext", "b3"]))
    .default([])
    .describe("Accepted: own traces neither begin elsewhere nor go on there."),
  processors: z
    .array(ownProcessorSchema(5_000))
    .default([])
    .describe("Where own traces go; without one they are off."),
  sampler: ownSamplerSchema.prefault({ always_on: {} }),
});

/** `{key: value}`, or the newer `{attributes: [{name, value}]}`. */
const resource = z.union([
  z
    .strictObject({
      attributes: z.array(z.strictObject({ name: z.string(), value: z.string() })),
    })
    .transform(({ attributes }) =>
      Object.fromEntries(attributes.map(({ name, value }) => [name, value])),
    ),
  z.record(z.string(), z.union([z.string(), z.null()])),
]);

export const telemetrySchema: z.ZodType<TelemetryConfig> = z.strictObject({
  logs: logs.prefault({}),
  metrics: metrics.prefault({}),
  traces: traces.prefault({}),
  resource: resource.default({}),
});
