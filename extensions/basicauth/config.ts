// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { opaque, type Secret } from "../../src/config/types.ts";

export interface BasicAuthConfig {
  readonly htpasswd?: { readonly file: string; readonly inline?: Secret | undefined } | undefined;
  readonly client_auth?:
    | {
        readonly username: string;
        readonly password?: Secret | undefined;
        readonly username_file: string;
        readonly password_file: string;
      }
    | undefined;
}

export const configSchema: z.ZodType<BasicAuthConfig> = z
  .strictObject({
    htpasswd: z
      .strictObject({
        file: z.string().default("").describe("File of lines user:hash."),
        inline: opaque().optional().describe("The same lines here; they win over the file's."),
      })
      .optional()
      .describe("For servers: who is let in."),
    client_auth: z
      .strictObject({
        username: z.string().default("").describe("Our name."),
        password: opaque().optional().describe("Our password."),
        username_file: z.string().default("").describe("File with our name; wins over username."),
        password_file: z.string().default("").describe("File with the password; wins over it."),
      })
      .optional()
      .describe("For clients: who we are."),
  })
  .superRefine((config, context) => {
    const { htpasswd, client_auth: client } = config;
    const refuse = (message: string): void => context.addIssue({ code: "custom", message });
    if (htpasswd !== undefined && client !== undefined) {
      refuse("only one of `htpasswd` or `client_auth` can be specified");
    } else if (htpasswd === undefined && client === undefined) {
      refuse(
        "no authenticator is specified. Set htpasswd for a server or client_auth for a client",
      );
    } else if (htpasswd !== undefined && htpasswd.file === "" && htpasswd.inline === undefined) {
      refuse("no credential source provided. Set htpasswd::file or htpasswd::inline");
    } else if (client !== undefined && client.username === "" && client.username_file === "") {
      refuse("client_auth needs a username or a username_file");
    }
  });
