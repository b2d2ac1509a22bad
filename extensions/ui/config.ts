// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type AuthConfig, authSchema } from "../../src/component/auth.ts";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { duration, type Endpoint, endpoint, endpointOf } from "../../src/config/types.ts";

export interface UiConfig {
  readonly endpoint: Endpoint;
  readonly directory: string;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly auth?: AuthConfig | null | undefined;
  /** Milliseconds. */
  readonly query_timeout: number;
  readonly jaeger_url: string;
}

const DIRECTORY_ERROR = "directory must be the one of an exporter `store`";

export const configSchema: z.ZodType<UiConfig> = z.strictObject({
  endpoint: endpoint()
    .default(endpointOf("localhost", 16_680))
    .describe(
      "Where to listen. Anyone who reaches it reads all traces: set auth beyond localhost.",
    ),
  directory: z
    .string({ error: DIRECTORY_ERROR })
    .min(1, { error: DIRECTORY_ERROR })
    .describe("What to read: the directory of an exporter store, of this agent or another."),
  tls: tlsServerSchema.nullish().describe("Off unless set."),
  auth: authSchema(),
  query_timeout: duration()
    .refine((ms) => ms > 0, { error: "query_timeout must be more than 0" })
    .default(5_000)
    .describe("A query gives what it has found after so long."),
  jaeger_url: z
    .string()
    .default("")
    .describe("Adds a link to each trace; {traceId} in it is replaced."),
});
