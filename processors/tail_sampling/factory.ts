// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { TailSampling } from "./tail-sampling.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "tail_sampling",
  stability: "beta",
  signals: ["traces"],
  configSchema,
  create: (settings, config) => new TailSampling(settings, config),
});
