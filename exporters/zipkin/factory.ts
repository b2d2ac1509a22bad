// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createZipkinExporter } from "./zipkin.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "zipkin",
  stability: "beta",
  signals: ["traces"],
  configSchema,
  create: createZipkinExporter,
});
