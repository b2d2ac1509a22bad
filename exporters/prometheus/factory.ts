// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createPrometheusExporter } from "./prometheus.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "prometheus",
  stability: "beta",
  signals: ["metrics"],
  configSchema,
  create: createPrometheusExporter,
});
