// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { duration, type Endpoint, endpoint, endpointOf } from "../../src/config/types.ts";

export interface HealthCheckConfig {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly path: string;
  readonly response_body?:
    | { readonly healthy: string; readonly unhealthy: string }
    | null
    | undefined;
  readonly check_collector_pipeline: { readonly enabled: boolean };
}

export const configSchema: z.ZodType<HealthCheckConfig> = z.strictObject({
  endpoint: endpoint().default(endpointOf("localhost", 13_133)).describe("Where to listen."),
  tls: tlsServerSchema.nullish().describe("Off unless set."),
  path: z
    .string()
    .startsWith("/", { error: 'path must start with /. Write for example "/health"' })
    .default("/")
    .describe("What is asked for; / answers every path."),
  response_body: z
    .strictObject({
      healthy: z.string().default("").describe("Body of a 200 in place of the JSON."),
      unhealthy: z.string().default("").describe("Body of a 503 in place of the JSON."),
    })
    .nullish()
    .describe("Bodies in place of the status as JSON."),
  check_collector_pipeline: z
    .strictObject({
      enabled: z.boolean().default(false).describe("Accepted, without effect."),
      interval: duration().default(300_000).describe("Accepted, without effect."),
      exporter_failure_threshold: z.int().default(5).describe("Accepted, without effect."),
    })
    .prefault({})
    .describe("Accepted, without effect, as the Collector's does nothing useful."),
});
