// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

function headerNames(which: string): z.ZodType<string[], unknown> {
  return z
    .array(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, { error: "is not a header name" }))
    .transform((names) => names.map((name) => name.toLowerCase()))
    .default([])
    .describe(`Headers of ${which} to record as attributes; values leave the host as they are.`);
}

/** What of messages is recorded: options that every receiver with parsers has. */
export const recordedContent: {
  readonly url_query: z.ZodType<boolean>;
  readonly request_headers: z.ZodType<string[]>;
  readonly response_headers: z.ZodType<string[]>;
  readonly routes_max: z.ZodType<number>;
  readonly raw_statements: z.ZodType<boolean>;
} = {
  url_query: z.boolean().default(false).describe("Record `url.query`; may hold secrets."),
  request_headers: headerNames("requests"),
  response_headers: headerNames("responses"),
  routes_max: z
    .int()
    .min(1)
    .max(100_000)
    .default(200)
    .describe("Distinct `http.route` values a service before they are cut short."),
  raw_statements: z
    .boolean()
    .default(false)
    .describe("Record statements and keys with their literals; may hold personal data."),
};
