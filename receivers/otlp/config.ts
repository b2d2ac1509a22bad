// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { byteSize, duration, type Endpoint, endpoint, endpointOf } from "../../src/config/types.ts";
import { type CorsConfig, corsSchema } from "../../src/transport/cors.ts";
import type { ServerKeepalive } from "../../src/transport/grpc-keepalive.ts";

export interface GrpcConfig {
  readonly endpoint: Endpoint;
  readonly tls: TlsServerConfig | undefined;
  readonly max_recv_msg_size_mib: number;
  readonly max_concurrent_streams: number;
  readonly keepalive: ServerKeepalive | undefined;
  readonly include_metadata: boolean;
  readonly auth?: AuthConfig | null | undefined;
}

export interface HttpConfig {
  readonly endpoint: Endpoint;
  readonly tls: TlsServerConfig | undefined;
  readonly traces_url_path: string;
  readonly metrics_url_path: string;
  readonly logs_url_path: string;
  readonly max_request_body_size: number;
  readonly include_metadata: boolean;
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

const never = Number.POSITIVE_INFINITY;
const DEFAULT_PING_MS = 2 * 60 * 60 * 1000;
/** 0 is never, as in gRPC. */
const orNever = (ms: number): number => (ms === 0 ? never : ms);

const serverParameters = z.strictObject({
  max_connection_idle: duration().default(0).describe("Ended without a call so long; 0: never."),
  max_connection_age: duration().default(0).describe("Ended after so long; 0 is never."),
  max_connection_age_grace: duration().default(0).describe("Open calls have so long; 0: no end."),
  time: duration().default(DEFAULT_PING_MS).describe("Between two pings of the server."),
  timeout: duration().default(20_000).describe("Without an answer for so long it is over."),
});
const enforcementPolicy = z.strictObject({
  min_time: duration().default(300_000).describe("Clients may ping no more often."),
  permit_without_stream: z.boolean().default(false).describe("Also while they send nothing."),
});

const keepalive = z
  .strictObject({
    server_parameters: serverParameters.nullish(),
    enforcement_policy: enforcementPolicy.nullish(),
  })
  .nullish()
  .transform((config): ServerKeepalive | undefined => {
    if (config === undefined || config === null) return undefined;
    const server = config.server_parameters ?? serverParameters.parse({});
    const policy = config.enforcement_policy;
    return {
      maxIdleMs: orNever(server.max_connection_idle),
      maxAgeMs: orNever(server.max_connection_age),
      maxAgeGraceMs: orNever(server.max_connection_age_grace),
      pingEveryMs: server.time === 0 ? DEFAULT_PING_MS : server.time,
      pingTimeoutMs: server.timeout === 0 ? 20_000 : server.timeout,
      clientPingMinMs: policy?.min_time ?? 0,
      clientPingsWithoutCalls: policy?.permit_without_stream ?? false,
    };
  })
  .describe("When connections are pinged and ended; pings of clients are free without a policy.");

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
    include_metadata: z.boolean().default(false).describe("Batches carry the request's headers."),
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
    include_metadata: z.boolean().default(false).describe("Batches carry the request's headers."),
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
