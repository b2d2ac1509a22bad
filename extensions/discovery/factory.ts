// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { Discovery } from "./discovery.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "discovery",
  stability: "development",
  configSchema,
  create: (settings, config) => new Discovery(settings, config),
});
