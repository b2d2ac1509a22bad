// SPDX-License-Identifier: Apache-2.0
/**
 * Where the agent's own telemetry goes: the OpenTelemetry declarative configuration's exporters,
 * periodic readers and processors, as `service::telemetry` of the Collector has them. Times are
 * whole milliseconds here, not durations.
 */
import { z } from "zod";
import { type Headers, headers } from "./types.ts";

export type OwnProtocol = "grpc" | "http/protobuf" | "http/json";
export type Temporality = "cumulative" | "delta" | "low_memory";

export interface OwnExporter {
  /** Undefined: lines of JSON on standard output. */
  readonly otlp: OwnOtlpExporter | undefined;
}

export interface OwnOtlpExporter {
  readonly protocol: OwnProtocol;
  readonly endpoint: URL;
  readonly headers: Headers;
  readonly compression: "none" | "gzip";
  readonly timeoutMs: number;
  readonly isPlain: boolean;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly temporality: Temporality;
}

/** Our metrics, sent again and again. */
export interface PeriodicReader {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly exporter: OwnExporter;
}

/** Own spans or log lines, sent in batches; `simple` sends each at once. */
export interface OwnProcessor {
  readonly scheduleDelayMs: number;
  readonly exportTimeoutMs: number;
  readonly queueItemsMax: number;
  readonly batchItemsMax: number;
  readonly exporter: OwnExporter;
}

/** Share of own traces that are kept. */
export interface OwnSampler {
  readonly ratio: number;
}

const PROTOCOLS = ["grpc", "http/protobuf", "http/json"] as const;
const DEFAULT_URL: Readonly<Record<OwnProtocol, string>> = {
  grpc: "http://localhost:4317",
  "http/protobuf": "http://localhost:4318",
  "http/json": "http://localhost:4318",
};

function milliseconds(value: number, description: string): z.ZodDefault<z.ZodInt> {
  return z.int().min(0).default(value).describe(description);
}

const otlp = z
  .strictObject({
    protocol: z.enum(PROTOCOLS).default("http/protobuf").describe("How to send."),
    endpoint: z.string().default("").describe("URL, or host:port for gRPC; localhost if unset."),
    headers: headers().describe("Sent with every request: a list of {name, value}, or a map."),
    compression: z.enum(["none", "gzip"]).default("none").describe("none or gzip."),
    timeout: milliseconds(10_000, "Of one request, ms."),
    insecure: z.boolean().default(false).describe("Plain text where the endpoint has no scheme."),
    certificate: z.string().default("").describe("Certificates to trust, a PEM file."),
    client_certificate: z.string().default("").describe("Our certificate, a PEM file."),
    client_key: z.string().default("").describe("Our private key, a PEM file."),
    temporality_preference: z
      .enum(["cumulative", "delta", "low_memory", "lowmemory"])
      .default("cumulative")
      .describe("Of sums and histograms: cumulative, delta or low_memory. Metrics only."),
    default_histogram_aggregation: z
      .literal("explicit_bucket_histogram")
      .default("explicit_bucket_histogram")
      .describe("Only explicit buckets."),
  })
  .refine((config) => (config.client_certificate === "") === (config.client_key === ""), {
    error: "client_certificate and client_key go together: set both or neither",
  })
  .transform((config, context): OwnOtlpExporter => {
    const { protocol, insecure, timeout, temporality_preference: temporality } = config;
    const written = config.endpoint === "" ? DEFAULT_URL[protocol] : config.endpoint;
    const hasScheme = /^https?:\/\//.test(written);
    const endpoint = URL.parse(hasScheme ? written : `${insecure ? "http" : "https"}://${written}`);
    if (endpoint === null) {
      const message = `"${written}" is no URL. Write http://host:4318, or host:4317 for gRPC`;
      context.addIssue({ code: "custom", path: ["endpoint"], message });
      return z.NEVER;
    }
    return {
      protocol,
      endpoint,
      headers: config.headers,
      compression: config.compression,
      timeoutMs: timeout,
      isPlain: endpoint.protocol === "http:",
      caFile: config.certificate,
      certFile: config.client_certificate,
      keyFile: config.client_key,
      temporality: temporality === "lowmemory" ? "low_memory" : temporality,
    };
  });

const exporter = z
  .strictObject({
    otlp: z.preprocess((input) => input ?? undefined, otlp.optional()),
    console: z.strictObject({}).nullish().describe("Lines of JSON on standard output."),
  })
  .refine((config) => (config.otlp === undefined) !== (config.console === undefined), {
    error: "must have one exporter: otlp: {protocol, endpoint} or console:",
  })
  .transform((config): OwnExporter => ({ otlp: config.otlp }))
  .describe("Where to send.");

/** `periodic` of a metric reader. */
export const periodicSchema: z.ZodType<PeriodicReader> = z
  .strictObject({
    interval: z.int().min(1).default(60_000).describe("Between two collections, ms."),
    timeout: milliseconds(30_000, "Of a collection and its sending, ms."),
    exporter,
  })
  .transform(
    (config): PeriodicReader => ({
      intervalMs: config.interval,
      timeoutMs: config.timeout,
      exporter: config.exporter,
    }),
  );

function batch(scheduleDelayMs: number): z.ZodType<OwnProcessor> {
  return z
    .strictObject({
      schedule_delay: milliseconds(scheduleDelayMs, "Longest wait before sending, ms."),
      export_timeout: milliseconds(30_000, "Of one sending with its retries, ms."),
      max_queue_size: z.int().min(1).default(2_048).describe("What waits; more is dropped."),
      max_export_batch_size: z.int().min(1).default(512).describe("Sent together at most."),
      exporter,
    })
    .transform(
      (config): OwnProcessor => ({
        scheduleDelayMs: config.schedule_delay,
        exportTimeoutMs: config.export_timeout,
        queueItemsMax: config.max_queue_size,
        batchItemsMax: Math.min(config.max_export_batch_size, config.max_queue_size),
        exporter: config.exporter,
      }),
    );
}

const simple = z.strictObject({ exporter }).transform(
  (config): OwnProcessor => ({
    scheduleDelayMs: 0,
    exportTimeoutMs: 30_000,
    queueItemsMax: 2_048,
    batchItemsMax: 1,
    exporter: config.exporter,
  }),
);

/** An entry of `processors`; `scheduleDelayMs` is the default of a batch. */
export function ownProcessorSchema(scheduleDelayMs: number): z.ZodType<OwnProcessor> {
  return z
    .strictObject({ batch: batch(scheduleDelayMs).optional(), simple: simple.optional() })
    .transform((config, context): OwnProcessor => {
      const found = config.batch ?? config.simple;
      if (found !== undefined && (config.batch === undefined || config.simple === undefined)) {
        return found;
      }
      const message = "must be one of batch: {exporter} and simple: {exporter}";
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    });
}

const ratio = z.strictObject({
  ratio: z.number().min(0).max(1).default(1).describe("Share of traces that are kept, 0 to 1."),
});
const root = z.strictObject({
  always_on: z.strictObject({}).nullish(),
  always_off: z.strictObject({}).nullish(),
  trace_id_ratio_based: ratio.nullish(),
});

/** Own traces have no parents from elsewhere, so `parent_based` is its `root`. */
export const ownSamplerSchema: z.ZodType<OwnSampler, object> = root
  .extend({ parent_based: z.strictObject({ root: root.optional() }).nullish() })
  .refine((config) => Object.keys(config).length === 1, {
    error:
      "must be one of always_on:, always_off:, trace_id_ratio_based: {ratio} and parent_based: {root}",
  })
  .transform((config): OwnSampler => {
    const chosen = config.parent_based?.root ?? config;
    if ("always_off" in chosen) return { ratio: 0 };
    return { ratio: chosen.trace_id_ratio_based?.ratio ?? 1 };
  });
