// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createResourceDetectionProcessor } from "./resource-detection.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "resource_detection",
  aliases: ["resourcedetection"],
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createResourceDetectionProcessor,
});
