// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { createAttributesProcessor } from "./attributes.ts";
import { configSchema } from "./config.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "attributes",
  stability: "beta",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createAttributesProcessor,
});
