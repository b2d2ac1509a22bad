// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { Ui } from "./ui.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "ui",
  stability: "development",
  configSchema,
  create: (settings, config) => new Ui(settings, config),
});
