// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { ENCODINGS, type Encoding } from "./compression.ts";

export type { Encoding } from "./compression.ts";

const GRPC_ENCODINGS = ["none", "gzip", "zstd", "snappy"] as const;

/** `compression` of an exporter: gzip unless said otherwise, as the Collector's OTLP exporters. */
export function encodingSchema(transport: "grpc" | "http"): z.ZodType<Encoding, unknown> {
  const names = transport === "grpc" ? GRPC_ENCODINGS : ENCODINGS;
  return z
    .preprocess(
      (input) => (input === "" || input === null ? "none" : input),
      z.enum(names, {
        error: (issue) =>
          `unsupported compression type "${String(issue.input)}". Use one of ${names.join(", ")}`,
      }),
    )
    .default("gzip")
    .describe(`Compression of what is sent: ${names.join(", ")}.`);
}
