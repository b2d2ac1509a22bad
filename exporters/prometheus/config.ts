// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { duration, type Endpoint, endpoint } from "../../src/config/types.ts";
import { type TranslationConfig, translationFields } from "../../src/prometheus/translation.ts";

export interface PrometheusConfig extends TranslationConfig {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly namespace: string;
  readonly const_labels: Readonly<Record<string, string>>;
  readonly send_timestamps: boolean;
  /** ms */
  readonly metric_expiration: number;
  readonly resource_to_telemetry_conversion: { readonly enabled: boolean };
  readonly enable_open_metrics: boolean;
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
  ...translationFields,
  without_scope_info: z.boolean().default(false).describe("Leave out the labels otel_scope_*."),
});
