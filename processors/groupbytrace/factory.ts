// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { GroupByTrace } from "./groupbytrace.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "groupbytrace",
  stability: "beta",
  signals: ["traces"],
  configSchema,
  create: (settings, config) => new GroupByTrace(settings, config),
});
