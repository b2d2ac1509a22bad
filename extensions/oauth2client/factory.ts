// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { Oauth2Client } from "./oauth2-client.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "oauth2client",
  aliases: ["oauth2_client"],
  stability: "beta",
  configSchema,
  create: (settings, config) => new Oauth2Client(settings, config),
});
