// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createStoreExporter } from "./store.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "store",
  stability: "development",
  signals: ["traces"],
  configSchema,
  create: createStoreExporter,
});
