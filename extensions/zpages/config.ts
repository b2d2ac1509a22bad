// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { type Endpoint, endpoint, endpointOf } from "../../src/config/types.ts";

export interface ZPagesConfig {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly expvar: { readonly enabled: boolean };
}

export const configSchema: z.ZodType<ZPagesConfig> = z.strictObject({
  endpoint: endpoint().default(endpointOf("localhost", 55_679)).describe("Where to listen."),
  tls: tlsServerSchema.nullish().describe("Off unless set."),
  expvar: z
    .strictObject({ enabled: z.boolean().default(false).describe("Serve /debug/expvarz.") })
    .prefault({})
    .describe("Own metrics as JSON."),
});
