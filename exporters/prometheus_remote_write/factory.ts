// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createRemoteWriteExporter } from "./remote-write.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "prometheus_remote_write",
  aliases: ["prometheusremotewrite"],
  stability: "beta",
  signals: ["metrics"],
  configSchema,
  create: createRemoteWriteExporter,
});
