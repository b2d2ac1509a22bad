// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createOtlpGrpcExporter } from "./otlp-grpc.ts";

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "otlp_grpc",
  aliases: ["otlp"],
  stability: "beta",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: createOtlpGrpcExporter,
});
