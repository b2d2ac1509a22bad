// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { Pprof } from "./pprof.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "pprof",
  stability: "beta",
  configSchema,
  create: (settings, config) => new Pprof(settings, config),
});
