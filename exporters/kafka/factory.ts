// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createKafkaExporter } from "./kafka.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "kafka",
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createKafkaExporter,
});
