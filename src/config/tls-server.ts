// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

/** `configtls` for a server, as far as we have it. */
export interface TlsServerConfig {
  readonly ca_file: string;
  readonly cert_file: string;
  readonly key_file: string;
  readonly client_ca_file: string;
}

type TlsServerInput = { [Key in keyof TlsServerConfig]?: TlsServerConfig[Key] | undefined };

export const tlsServerSchema: z.ZodType<TlsServerConfig, TlsServerInput> = z
  .strictObject({
    ca_file: z.string().default("").describe("Not used by a server; see client_ca_file."),
    cert_file: z.string().default("").describe("The server's certificate, PEM."),
    key_file: z.string().default("").describe("Its private key, PEM."),
    client_ca_file: z
      .string()
      .default("")
      .describe("Clients must show a certificate signed by one of these, PEM."),
  })
  .refine((files) => files.cert_file !== "" && files.key_file !== "", {
    error:
      "TLS configuration must include both certificate and key for server connections. " +
      "Set cert_file and key_file",
  });
