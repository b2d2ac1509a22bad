// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { duration, type Endpoint, endpoint } from "../../src/config/types.ts";

const STRATEGIES = ["UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"] as const;

export interface PrometheusConfig {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly namespace: string;
  readonly const_labels: Readonly<Record<string, string>>;
  readonly send_timestamps: boolean;
  /** ms */
  readonly metric_expiration: number;
  readonly resource_to_telemetry_conversion: { readonly enabled: boolean };
  readonly enable_open_metrics: boolean;
  readonly add_metric_suffixes: boolean;
  readonly translation_strategy?: (typeof STRATEGIES)[number] | undefined;
  readonly without_scope_info: boolean;
}

export const configSchema: z.ZodType<PrometheusConfig> = z.strictObject({
  endpoint: endpoint().describe("Where /metrics is served, for example localhost:8889."),
  tls: tlsServerSchema.nullish().describe("Off unless set."),
  namespace: z.string().default("").describe("Put before every name."),
  const_labels: z
    .record(z.string(), z.string())
    .default({})
    .describe("Labels that every series gets."),
  send_timestamps: z.boolean().default(false).describe("Write the points' times."),
  metric_expiration: duration()
    .default(300_000)
    .describe("A series that was not reported for so long is no longer served."),
  resource_to_telemetry_conversion: z
    .strictObject({ enabled: z.boolean().default(false).describe("Do it.") })
    .prefault({})
    .describe("The resource's attributes become labels of every series."),
  enable_open_metrics: z
    .boolean()
    .default(false)
    .describe("Answer in OpenMetrics, with exemplars, to those who accept it."),
  add_metric_suffixes: z
    .boolean()
    .default(true)
    .describe("Add unit and _total to names. translation_strategy overrides it."),
  translation_strategy: z
    .enum(STRATEGIES, {
      error: `unknown translation strategy, or one that is not supported yet. Write "${STRATEGIES.join('" or "')}"`,
    })
    .optional()
    .describe("How names become Prometheus'."),
  without_scope_info: z.boolean().default(false).describe("Leave out the labels otel_scope_*."),
});
