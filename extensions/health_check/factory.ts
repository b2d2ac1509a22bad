// SPDX-License-Identifier: Apache-2.0
import { defineExtension, type ExtensionFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { HealthCheck } from "./health-check.ts";

export const factory: ExtensionFactory = defineExtension({
  kind: "extension",
  type: "health_check",
  stability: "beta",
  configSchema,
  create: (settings, config) => new HealthCheck(settings, config, Date.now),
});
