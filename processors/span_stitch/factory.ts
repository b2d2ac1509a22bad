// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema, type SpanStitchConfig } from "./config.ts";
import { createGateway } from "./gateway/processor.ts";
import { createSpanStitch } from "./processor.ts";

export const factory: ProcessorFactory = defineProcessor<SpanStitchConfig>({
  kind: "processor",
  type: "span_stitch",
  stability: "development",
  signals: ["traces"],
  configSchema,
  create: (settings, config) =>
    config.mode === "gateway"
      ? createGateway(settings, config)
      : createSpanStitch(settings, config),
});
