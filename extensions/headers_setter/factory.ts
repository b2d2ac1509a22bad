// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { HeadersSetter } from "./headers-setter.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "headers_setter",
  stability: "beta",
  configSchema,
  create: (settings, config) => new HeadersSetter(settings, config),
});
