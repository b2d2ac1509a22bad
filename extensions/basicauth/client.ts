// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { ClientAuthenticator } from "../../src/component/auth.ts";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { BasicAuthConfig } from "./config.ts";

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
    const user = username_file === "" ? username : await contentOf(username_file);
    const secret =
      password_file === "" ? (password?.reveal() ?? "") : await contentOf(password_file);
    const credentials = Buffer.from(`${user}:${secret}`).toString("base64");
    return { authorization: `Basic ${credentials}` };
  }
}

async function contentOf(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trimEnd();
  } catch (cause) {
    throw new AgentError("BS_START", `basicauth: cannot read "${path}": ${messageOf(cause)}`, {
      cause,
    });
  }
}
