// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createResourceProcessor } from "./resource.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "resource",
  stability: "beta",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createResourceProcessor,
});
