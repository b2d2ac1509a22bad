// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type TlsServerConfig, tlsServerSchema } from "../../src/config/tls-server.ts";
import { type Endpoint, endpoint, endpointOf } from "../../src/config/types.ts";

export interface PprofConfig {
  readonly endpoint: Endpoint;
  readonly tls?: TlsServerConfig | null | undefined;
  readonly save_to_file: string;
}

const noEffect = "Accepted, without effect: a JavaScript program has nothing to block on.";

export const configSchema: z.ZodType<PprofConfig> = z.strictObject({
  endpoint: endpoint().default(endpointOf("localhost", 1_777)).describe("Where to listen."),
  tls: tlsServerSchema.nullish().describe("Off unless set."),
  block_profile_fraction: z.int().default(0).describe(noEffect),
  mutex_profile_fraction: z.int().default(0).describe(noEffect),
  save_to_file: z
    .string()
    .default("")
    .describe("CPU profile of the whole run, written when the agent ends."),
});
