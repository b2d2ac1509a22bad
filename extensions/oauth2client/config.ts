// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import {
  duration,
  opaque,
  type Secret,
  type TlsClientConfig,
  tlsClientSchema,
} from "../../src/config/types.ts";

export interface Oauth2ClientConfig {
  readonly client_id: string;
  readonly client_id_file: string;
  readonly client_secret?: Secret | undefined;
  readonly client_secret_file: string;
  readonly token_url: string;
  readonly endpoint_params: Readonly<Record<string, readonly string[]>>;
  readonly scopes: readonly string[];
  readonly tls: TlsClientConfig;
  readonly timeout: number;
  readonly expiry_buffer: number;
}

const param = z.union([z.string(), z.array(z.string())]).transform((one) => [one].flat());

export const configSchema: z.ZodType<Oauth2ClientConfig> = z
  .strictObject({
    client_id: z.string().default("").describe("Who we are."),
    client_id_file: z.string().default("").describe("File with it, read for every token."),
    client_secret: opaque().optional().describe("Our secret."),
    client_secret_file: z.string().default("").describe("File with it, read for every token."),
    token_url: z.string().default("").describe("Where tokens are given."),
    endpoint_params: z
      .record(z.string(), param)
      .default({})
      .describe("Further parameters of the token request, such as audience."),
    scopes: z.array(z.string()).default([]).describe("What the token is to be good for."),
    grant_type: z
      .literal("client_credentials")
      .default("client_credentials")
      .describe("Only client_credentials."),
    tls: tlsClientSchema.prefault({}).describe("Used for https."),
    timeout: duration().default(0).describe("Of a token request; 0 is 30s."),
    expiry_buffer: duration()
      .default(300_000)
      .describe("So long before its end a token is replaced."),
  })
  .refine(({ client_id, client_id_file }) => client_id !== "" || client_id_file !== "", {
    error: "no ClientID provided in the OAuth2 exporter configuration. Set client_id",
  })
  .refine(
    ({ client_secret, client_secret_file }) =>
      client_secret !== undefined || client_secret_file !== "",
    { error: "no ClientSecret provided in the OAuth2 exporter configuration. Set client_secret" },
  )
  .refine(({ token_url }) => /^https?:$/.test(URL.parse(token_url)?.protocol ?? ""), {
    error:
      "no TokenURL provided in OAuth Client Credentials configuration. Set token_url: https://…",
  });
