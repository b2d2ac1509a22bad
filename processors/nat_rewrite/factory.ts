// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema, type NatRewriteConfig } from "./config.ts";
import { createNatRewrite } from "./processor.ts";

export const factory: ProcessorFactory = defineProcessor<NatRewriteConfig>({
  kind: "processor",
  type: "nat_rewrite",
  stability: "development",
  signals: ["traces", "metrics"],
  configSchema,
  create: (settings, config) => createNatRewrite(settings, config),
});
