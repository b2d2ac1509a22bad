// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import type { Batch } from "../../src/model/batch.ts";
import { createHttpExporter } from "../../src/transport/http-exporter.ts";
import { zipkinSpansOf } from "../../src/zipkin/from-otlp.ts";
import { encodeZipkinProto } from "../../src/zipkin/protobuf.ts";
import type { ZipkinExporterConfig } from "./config.ts";

const CONTENT_TYPES = { json: "application/json", proto: "application/x-protobuf" } as const;

/** Posts spans in Zipkin's form. */
export function createZipkinExporter(
  settings: ExporterSettings,
  config: ZipkinExporterConfig,
): Exporter {
  return createHttpExporter(settings, config, {
    url: new URL(config.endpoint),
    contentType: CONTENT_TYPES[config.format],
    encode: (batch) => bodyOf(batch, config),
  });
}

function bodyOf({ chunks }: Batch, config: ZipkinExporterConfig): Uint8Array {
  const spans = chunks.flatMap((chunk) => zipkinSpansOf(chunk, config.default_service_name));
  if (config.format === "proto") return encodeZipkinProto(spans);
  return Buffer.from(JSON.stringify(spans));
}
