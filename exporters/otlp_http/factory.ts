// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createOtlpHttpExporter } from "./otlp-http.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "otlp_http",
  aliases: ["otlphttp"],
  stability: "beta",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createOtlpHttpExporter,
});
