// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { type HttpServerConfig, httpServerFields } from "../../src/transport/http-server-config.ts";

export interface ZipkinReceiverConfig extends HttpServerConfig {
  readonly parse_string_tags: boolean;
}

export const configSchema: z.ZodType<ZipkinReceiverConfig> = z.strictObject({
  ...httpServerFields(9411),
  parse_string_tags: z
    .boolean()
    .default(false)
    .describe("Tags that look like numbers or booleans become such."),
});
