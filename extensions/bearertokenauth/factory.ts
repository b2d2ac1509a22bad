// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { BearerTokenAuth } from "./bearer-token-auth.ts";
import { configSchema } from "./config.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "bearertokenauth",
  aliases: ["bearer_token_auth"],
  stability: "beta",
  configSchema,
  create: (settings, config) => new BearerTokenAuth(settings, config),
});
