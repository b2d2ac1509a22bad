// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { opaque, type Secret } from "../../src/config/types.ts";

export interface BearerTokenAuthConfig {
  readonly header: string;
  readonly scheme: string;
  readonly token?: Secret | undefined;
  readonly tokens: readonly Secret[];
  readonly filename: string;
}

export const configSchema: z.ZodType<BearerTokenAuthConfig> = z
  .strictObject({
    header: z.string().min(1).default("Authorization").describe("Where the token stands."),
    scheme: z.string().default("Bearer").describe("Word before the token; empty for none."),
    token: opaque().optional().describe("The token."),
    tokens: z
      .array(opaque())
      .default([])
      .describe("Servers take any of them, clients send the first."),
    filename: z
      .string()
      .default("")
      .describe("File of tokens, one a line; read again when it changes."),
  })
  .refine(
    ({ token, tokens, filename }) => token !== undefined || tokens.length > 0 || filename !== "",
    { error: "no bearer token provided. Set token, tokens or filename" },
  )
  .refine(({ token, tokens }) => token === undefined || tokens.length === 0, {
    error: "either tokens or token should be provided, not both",
  });
