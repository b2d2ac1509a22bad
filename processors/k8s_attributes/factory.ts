// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createK8sAttributesProcessor } from "./k8s-attributes.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "k8s_attributes",
  aliases: ["k8sattributes"],
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createK8sAttributesProcessor,
});
