// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { ENCODINGS, type Encoding } from "./compression.ts";

export type { Encoding } from "./compression.ts";

/** `compression` of an exporter: gzip unless said otherwise, as the Collector's OTLP exporters. */
export function encodingSchema(): z.ZodType<Encoding, unknown> {
  return z
    .preprocess(
      (input) => (input === "" || input === null ? "none" : input),
      z.enum(ENCODINGS, {
        error: (issue) =>
          `unsupported compression type "${String(issue.input)}". Use one of ${ENCODINGS.join(", ")}`,
      }),
    )
    .default("gzip")
    .describe("Compression of what is sent: gzip, zstd or none.");
}
