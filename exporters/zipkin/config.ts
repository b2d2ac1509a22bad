// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import {
  duration,
  type Headers,
  headers,
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
import { ENCODINGS, type Encoding } from "../../src/transport/compression.ts";

export interface ZipkinExporterConfig {
  readonly endpoint: string;
  readonly format: "json" | "proto";
  readonly default_service_name: string;
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

const NO_ENDPOINT = "requires a non-empty endpoint, for example http://localhost:9411/api/v2/spans";

export const configSchema: z.ZodType<ZipkinExporterConfig> = z.strictObject({
  endpoint: z
    .string({ error: NO_ENDPOINT })
    .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), { error: NO_ENDPOINT })
    .describe("URL, taken as it is."),
  format: z.enum(["json", "proto"]).default("json").describe("Body: Zipkin's JSON or protobuf."),
  default_service_name: z
    .string()
    .default("<missing service name>")
    .describe("Of spans whose resource has none."),
  compression: z.enum(ENCODINGS).default("none").describe("Compression of what is sent."),
  tls: tlsClientSchema.prefault({}).describe("Used for https URLs."),
  headers: headers().describe("Sent with every request."),
  auth: authSchema(),
  timeout: timeoutSchema(5_000),
  idle_conn_timeout: duration()
    .default(90_000)
    .describe("Unused connections are closed after this time."),
  max_idle_conns: z.int().min(0).default(100).describe("Unused connections kept open."),
  sending_queue: sendingQueueSchema().prefault({}),
  retry_on_failure: retrySchema().prefault({}),
});
