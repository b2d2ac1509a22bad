// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import {
  byteSize,
  duration,
  type Headers,
  headers,
  httpUrl,
  type TlsClientConfig,
  tlsClientSchema,
} from "../../src/config/types.ts";
import {
  type RetryConfig,
  retrySchema,
  type SendingQueueConfig,
  sendingQueueSchema,
  timeoutSchema,
} from "../../src/pipeline/export-helper.ts";
import { type Encoding, encodingSchema } from "../../src/transport/encoding-schema.ts";

export interface OtlpHttpConfig {
  /** Undefined when only the endpoints of the signals are set. */
  readonly endpoint: URL | undefined;
  readonly traces_endpoint: URL | undefined;
  readonly metrics_endpoint: URL | undefined;
  readonly logs_endpoint: URL | undefined;
  readonly encoding: "proto" | "json";
  readonly compression: Encoding;
  readonly tls: TlsClientConfig;
  readonly headers: Headers;
  readonly auth?: AuthConfig | null | undefined;
  readonly timeout: number;
  readonly idle_conn_timeout: number;
  readonly max_idle_conns: number;
  readonly sending_queue: SendingQueueConfig;
  readonly retry_on_failure: RetryConfig;
}

const url = () => httpUrl("http://localhost:4318").prefault("");

export const configSchema: z.ZodType<OtlpHttpConfig> = z
  .strictObject({
    endpoint: url().describe("Base URL; /v1/traces, /v1/metrics or /v1/logs is added."),
    traces_endpoint: url().describe("URL for traces, taken as it is."),
    metrics_endpoint: url().describe("URL for metrics, taken as it is."),
    logs_endpoint: url().describe("URL for logs, taken as it is."),
    encoding: z.enum(["proto", "json"]).default("proto").describe("Body: protobuf or OTLP/JSON."),
    compression: encodingSchema("http"),
    tls: tlsClientSchema.prefault({}).describe("Used for https URLs."),
    headers: headers().describe("Sent with every request."),
    auth: authSchema(),
    timeout: timeoutSchema(30_000),
    idle_conn_timeout: duration()
      .default(90_000)
      .describe("Unused connections are closed after this time."),
    max_idle_conns: z.int().min(0).default(100).describe("Unused connections kept open."),
    sending_queue: sendingQueueSchema().prefault({}),
    retry_on_failure: retrySchema().prefault({}),
    read_buffer_size: byteSize().default(0).describe("Accepted, without effect."),
    write_buffer_size: byteSize()
      .default(512 * 1024)
      .describe("Accepted, without effect."),
  })
  .refine(
    (config) =>
      (config.endpoint ??
        config.traces_endpoint ??
        config.metrics_endpoint ??
        config.logs_endpoint) !== undefined,
    { error: "at least one endpoint must be specified. Set endpoint: http://localhost:4318" },
  );
