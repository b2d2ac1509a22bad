// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { FileStorage } from "./file-storage.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "file_storage",
  stability: "beta",
  configSchema,
  create: (settings, config) => new FileStorage(settings, config),
});
