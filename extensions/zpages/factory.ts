// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { ZPages } from "./z-pages.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "zpages",
  stability: "beta",
  configSchema,
  create: (settings, config) => new ZPages(settings, config),
});
