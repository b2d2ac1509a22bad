// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { LoadBalancing } from "./load-balancing.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "load_balancing",
  aliases: ["loadbalancing"],
  stability: "alpha",
  signals: ["traces", "metrics"],
  configSchema,
  create: (settings, config) => new LoadBalancing(settings, config),
});
