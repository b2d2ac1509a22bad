// SPDX-License-Identifier: Apache-2.0
import type { ClientAuthenticator } from "../../src/component/auth.ts";
import type { BasicAuthConfig } from "./config.ts";
import { readCredentials } from "./credential-file.ts";

type ClientConfig = NonNullable<BasicAuthConfig["client_auth"]>;

/** RFC 7617. Files are read for each request, so that a new password needs no restart. */
export class BasicClientAuth implements ClientAuthenticator {
  readonly #config: ClientConfig;

  constructor(config: ClientConfig) {
    this.#config = config;
  }

  async start(): Promise<void> {
    await this.authorization();
  }

  async shutdown(): Promise<void> {}

  async authorization(): Promise<Readonly<Record<string, string>>> {
    const { username, password, username_file, password_file } = this.#config;
    const user = username_file === "" ? username : (await readCredentials(username_file)).trimEnd();
    const secret =
      password_file === ""
        ? (password?.reveal() ?? "")
        : (await readCredentials(password_file)).trimEnd();
    const credentials = Buffer.from(`${user}:${secret}`).toString("base64");
    return { authorization: `Basic ${credentials}` };
  }
}
