// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import {
  byteSize,
  type ClientEndpoint,
  clientEndpoint,
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
import { type Encoding, encodingSchema } from "../../src/transport/encoding-schema.ts";

export interface OtlpGrpcConfig {
  readonly endpoint: ClientEndpoint;
  readonly tls: TlsClientConfig;
  readonly compression: Encoding;
  readonly headers: Headers;
  readonly auth?: AuthConfig | null | undefined;
  readonly keepalive?:
    | { readonly time: number; readonly timeout: number; readonly permit_without_stream: boolean }
    | null
    | undefined;
  readonly authority: string;
  readonly user_agent: string;
  readonly timeout: number;
  readonly sending_queue: SendingQueueConfig;
  readonly retry_on_failure: RetryConfig;
}

const keepaliveSchema = z
  .strictObject({
    time: duration().default(0).describe("Between two pings; 0 is none, less than 10s is 10s."),
    timeout: duration().default(20_000).describe("Without an answer for so long it is over."),
    permit_without_stream: z.boolean().default(false).describe("Also while nothing is sent."),
  })
  .nullish()
  .describe("Pings that find out whether the server is still there.");

export const configSchema: z.ZodType<OtlpGrpcConfig> = z.strictObject({
  endpoint: clientEndpoint().describe(
    "host:port of the server; http:// in front means plain text, https:// means TLS.",
  ),
  tls: tlsClientSchema.prefault({}).describe("TLS is on unless insecure is set."),
  compression: encodingSchema("grpc"),
  headers: headers().describe("Sent with every call."),
  auth: authSchema(),
  authority: z.string().default("").describe("Value of :authority in place of the endpoint."),
  user_agent: z.string().default("").describe("Value of user-agent in place of ours."),
  timeout: timeoutSchema(),
  sending_queue: sendingQueueSchema().prefault({}),
  retry_on_failure: retrySchema().prefault({}),
  balancer_name: z
    .enum(["", "pick_first", "round_robin"])
    .default("")
    .describe("Accepted; one connection is used."),
  wait_for_ready: z.boolean().default(false).describe("Accepted, without effect."),
  read_buffer_size: byteSize().default(0).describe("Accepted, without effect."),
  write_buffer_size: byteSize()
    .default(512 * 1024)
    .describe("Accepted, without effect."),
  keepalive: keepaliveSchema,
});
