// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import {
  duration,
  type Headers,
  headers,
  httpUrl,
  type TlsClientConfig,
  tlsClientSchema,
} from "../../src/config/types.ts";
import { type RetryConfig, retrySchema, timeoutSchema } from "../../src/pipeline/export-helper.ts";
import { type TranslationConfig, translationFields } from "../../src/prometheus/translation.ts";

export interface RemoteWriteConfig extends TranslationConfig {
  readonly endpoint: URL;
  readonly namespace: string;
  readonly external_labels: Readonly<Record<string, string>>;
  readonly headers: Headers;
  readonly auth?: AuthConfig | null | undefined;
  readonly tls: TlsClientConfig;
  readonly timeout: number;
  readonly idle_conn_timeout: number;
  readonly max_idle_conns: number;
  readonly send_metadata: boolean;
  readonly remote_write_queue: {
    readonly enabled: boolean;
    readonly queue_size: number;
    readonly num_consumers: number;
  };
  readonly resource_to_telemetry_conversion: { readonly enabled: boolean };
  readonly target_info: { readonly enabled: boolean };
  readonly disable_scope_info: boolean;
  readonly max_batch_size_bytes: number;
  readonly retry_on_failure: RetryConfig;
}

const queue = z
  .strictObject({
    enabled: z.boolean().default(true).describe("Queue what cannot be sent at once."),
    queue_size: z.int().positive().default(10_000).describe("Batches that may wait."),
    num_consumers: z
      .int()
      .positive()
      .default(5)
      .describe("Requests of one batch sent at the same time; batches go one after the other."),
  })
  .prefault({});

export const configSchema: z.ZodType<RemoteWriteConfig> = z.strictObject({
  endpoint: httpUrl("http://localhost:9090/api/v1/write")
    .refine((url): url is URL => url !== undefined, {
      error: 'requires an "endpoint", for example http://localhost:9090/api/v1/write',
    })
    .describe("URL of the remote write API."),
  namespace: z.string().default("").describe("Put before every name."),
  external_labels: z
    .record(z.string(), z.string())
    .default({})
    .describe("Labels that every series gets."),
  headers: headers().describe("Sent with every request; those of the protocol are not replaced."),
  auth: authSchema(),
  tls: tlsClientSchema.prefault({}).describe("Used for an https URL."),
  timeout: timeoutSchema(5_000),
  idle_conn_timeout: duration().default(90_000).describe("Unused connections are closed then."),
  max_idle_conns: z.int().min(0).default(100).describe("Unused connections kept open."),
  ...translationFields,
  send_metadata: z.boolean().default(false).describe("Send type, help and unit, too."),
  remote_write_queue: queue.describe("What waits to be sent."),
  resource_to_telemetry_conversion: z
    .strictObject({ enabled: z.boolean().default(false).describe("Do it.") })
    .prefault({})
    .describe("The resource's attributes become labels of every series."),
  target_info: z
    .strictObject({ enabled: z.boolean().default(true).describe("Send it.") })
    .prefault({})
    .describe("The series target_info with the resource's attributes."),
  disable_scope_info: z.boolean().default(false).describe("Leave out the labels otel_scope_*."),
  max_batch_size_bytes: z
    .int()
    .positive()
    .default(3_000_000)
    .describe("Larger batches are sent in several requests."),
  retry_on_failure: retrySchema().prefault({ initial_interval: "50ms", max_interval: "200ms" }),
});
