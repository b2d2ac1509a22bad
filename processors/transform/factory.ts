// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { Transform } from "./transform.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "transform",
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: (settings, config) => new Transform(settings, config),
});
