// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

/** Which pages may send to a server from a browser (fetch.spec.whatwg.org, "CORS protocol"). */
export interface CorsConfig {
  /** `https://*.example.com`: one `*` stands for anything. */
  readonly allowed_origins: readonly string[];
  readonly allowed_headers: readonly string[];
  readonly exposed_headers: readonly string[];
  /** Seconds; 0 leaves it to the browser. */
  readonly max_age: number;
}

export function corsSchema(): z.ZodType<CorsConfig | null | undefined> {
  return z
    .strictObject({
      allowed_origins: z.array(z.string()).default([]).describe("Origins, one * in each at most."),
      allowed_headers: z.array(z.string()).default([]).describe("Beyond those always allowed."),
      exposed_headers: z.array(z.string()).default([]).describe("Headers that a page may read."),
      max_age: z.int().min(0).default(0).describe("How long an answer is kept, seconds."),
    })
    .nullish()
    .describe("Pages that may send from a browser; none unless set.");
}

const ALWAYS_ALLOWED = ["origin", "accept", "content-type", "x-requested-with"];

/** Sets the headers for an allowed origin; `answered` when this was only the question for them. */
export function allowCors(
  config: CorsConfig,
  request: IncomingMessage,
  response: ServerResponse,
): "answered" | "open" {
  const { origin } = request.headers;
  const isQuestion =
    request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  response.setHeader("vary", "Origin");
  if (origin !== undefined && config.allowed_origins.some((one) => matches(one, origin))) {
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-allow-credentials", "true");
    if (config.exposed_headers.length > 0) {
      response.setHeader("access-control-expose-headers", config.exposed_headers.join(", "));
    }
    if (isQuestion) answerQuestion(config, request, response);
  }
  if (!isQuestion) return "open";
  response.writeHead(204).end();
  return "answered";
}

function answerQuestion(
  config: CorsConfig,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const asked = request.headers["access-control-request-headers"] ?? "";
  const allowed = new Set([
    ...ALWAYS_ALLOWED,
    ...config.allowed_headers.map((name) => name.toLowerCase()),
  ]);
  const names = asked.split(",").map((name) => name.trim().toLowerCase());
  const granted = names.filter((name) => name !== "" && (allowed.has(name) || allowed.has("*")));
  response.setHeader("access-control-allow-methods", "POST");
  if (granted.length > 0) response.setHeader("access-control-allow-headers", granted.join(", "));
  if (config.max_age > 0) response.setHeader("access-control-max-age", String(config.max_age));
}

function matches(pattern: string, origin: string): boolean {
  const at = pattern.indexOf("*");
  if (at === -1) return pattern.toLowerCase() === origin.toLowerCase();
  const [before, after] = [pattern.slice(0, at), pattern.slice(at + 1)];
  return (
    origin.length >= before.length + after.length &&
    origin.startsWith(before) &&
    origin.endsWith(after)
  );
}
