// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createFileExporter } from "./file.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "file",
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createFileExporter,
});
