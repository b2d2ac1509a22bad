// SPDX-License-Identifier: Apache-2.0
import type { z } from "zod";
import { type AuthConfig, authSchema } from "../component/auth.ts";
import { type TlsServerConfig, tlsServerSchema } from "../config/tls-server.ts";
import { byteSize, type Endpoint, endpoint, endpointOf } from "../config/types.ts";
import { type CorsConfig, corsSchema } from "./cors.ts";

/** What receivers over HTTP have in common (`confighttp`). */
export interface HttpServerConfig {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly auth?: AuthConfig | null | undefined;
  readonly cors?: CorsConfig | null | undefined;
  readonly max_request_body_size: number;
}

const BODY_BYTES_MAX = 20 * 1024 * 1024;

export function httpServerFields(port: number): {
  readonly endpoint: z.ZodType<Endpoint>;
  readonly tls: z.ZodType<TlsServerConfig | null | undefined>;
  readonly auth: z.ZodType<AuthConfig | null | undefined>;
  readonly cors: z.ZodType<CorsConfig | null | undefined>;
  readonly max_request_body_size: z.ZodType<number>;
} {
  return {
    endpoint: endpoint().default(endpointOf("localhost", port)).describe("Where to listen."),
    tls: tlsServerSchema.nullish().describe("Off unless set."),
    auth: authSchema(),
    cors: corsSchema(),
    max_request_body_size: byteSize()
      .default(BODY_BYTES_MAX)
      .transform((bytes) => (bytes === 0 ? BODY_BYTES_MAX : bytes))
      .describe("Largest body, also after decompression; 0 is 20 MiB."),
  };
}
