// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { byteSize, type Endpoint, endpoint, endpointOf } from "../../src/config/types.ts";
import { type CorsConfig, corsSchema } from "../../src/transport/cors.ts";

export interface GrpcConfig {
  readonly endpoint: Endpoint;
  readonly tls: TlsServerConfig | undefined;
  readonly max_recv_msg_size_mib: number;
  readonly max_concurrent_streams: number;
  readonly auth?: AuthConfig | null | undefined;
}

export interface HttpConfig {
  readonly endpoint: Endpoint;
  readonly tls: TlsServerConfig | undefined;
  readonly traces_url_path: string;
  readonly metrics_url_path: string;
  readonly logs_url_path: string;
  readonly max_request_body_size: number;
  readonly auth?: AuthConfig | null | undefined;
  readonly cors?: CorsConfig | null | undefined;
}

export interface OtlpReceiverConfig {
  readonly protocols: {
    readonly grpc: GrpcConfig | undefined;
    readonly http: HttpConfig | undefined;
  };
}

const MIB = 1024 * 1024;
const BODY_BYTES_MAX = 20 * MIB;

const enabled = z.boolean().default(true).describe("False leaves this protocol off.");

/** Null, as an empty section, is taken as `{}`: on, with the defaults. */
function section<Output>(schema: z.ZodType<Output>): z.ZodType<Output | undefined> {
  return z.preprocess((input) => (input === null ? {} : input), schema.optional());
}

function urlPath(path: string): z.ZodType<string> {
  return z
    .string()
    .default(path)
    .transform((text) => (text.startsWith("/") ? text : `/${text}`))
    .describe("Path of the signal.");
}

const keepalive = z
  .looseObject({})
  .nullish()
  .describe("Accepted; connections are kept open as long as the client does.");

const grpc = z
  .strictObject({
    enabled,
    endpoint: endpoint().default(endpointOf("localhost", 4317)).describe("Where to listen."),
    transport: z.literal("tcp").default("tcp").describe("Only tcp."),
    tls: tlsServerSchema.nullish().describe("Off unless set."),
    max_recv_msg_size_mib: z.int().min(0).default(0).describe("Largest message; 0 is 4 MiB."),
    max_concurrent_streams: z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .default(0)
      .describe("Open calls of one connection; 0 is 256."),
    read_buffer_size: byteSize()
      .default(512 * 1024)
      .describe("Accepted, without effect."),
    write_buffer_size: byteSize().default(0).describe("Accepted, without effect."),
    keepalive,
    auth: authSchema(),
    include_metadata: z.boolean().default(false).describe("Accepted, without effect."),
  })
  .transform((config): GrpcConfig | undefined =>
    config.enabled ? { ...config, tls: config.tls ?? undefined } : undefined,
  );

const http = z
  .strictObject({
    enabled,
    endpoint: endpoint().default(endpointOf("localhost", 4318)).describe("Where to listen."),
    transport: z.literal("tcp").default("tcp").describe("Only tcp."),
    tls: tlsServerSchema.nullish().describe("Off unless set."),
    traces_url_path: urlPath("/v1/traces"),
    metrics_url_path: urlPath("/v1/metrics"),
    logs_url_path: urlPath("/v1/logs"),
    max_request_body_size: byteSize()
      .default(BODY_BYTES_MAX)
      .transform((bytes) => (bytes === 0 ? BODY_BYTES_MAX : bytes))
      .describe("Largest body, also after decompression; 0 is 20 MiB."),
    auth: authSchema(),
    cors: corsSchema(),
    include_metadata: z.boolean().default(false).describe("Accepted, without effect."),
  })
  .transform((config): HttpConfig | undefined =>
    config.enabled ? { ...config, tls: config.tls ?? undefined } : undefined,
  );

export const configSchema: z.ZodType<OtlpReceiverConfig> = z
  .strictObject({
    protocols: z
      .preprocess(
        (input) => input ?? {},
        z.strictObject({ grpc: section(grpc), http: section(http) }),
      )
      .transform(({ grpc: overGrpc, http: overHttp }) => ({ grpc: overGrpc, http: overHttp })),
  })
  .refine(({ protocols }) => protocols.grpc !== undefined || protocols.http !== undefined, {
    error:
      "must specify at least one protocol when using the OTLP receiver. " +
      'Add "grpc:" or "http:" under protocols',
  });
