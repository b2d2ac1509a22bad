// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { BasicClientAuth } from "./client.ts";
import { configSchema } from "./config.ts";
import { BasicServerAuth } from "./server.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "basicauth",
  aliases: ["basic_auth"],
  stability: "beta",
  configSchema,
  create: (_settings, { htpasswd, client_auth: client }) =>
    client === undefined
      ? new BasicServerAuth(htpasswd ?? { file: "" })
      : new BasicClientAuth(client),
});
