// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { Filter } from "./filter.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "filter",
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: (settings, config) => new Filter(settings, config),
});
