// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { ZIPKIN_KINDS, type ZipkinSpan } from "../../src/zipkin/span.ts";

/** A null is as good as nothing: some senders write them. */
function maybe<Output>(schema: z.ZodType<Output>): z.ZodType<Output | undefined> {
  return schema.nullish().transform((value) => value ?? undefined);
}

const id = z.string().regex(/^[0-9a-fA-F]{1,16}$/, { error: "an id is up to 16 hex digits" });
const traceId = z
  .string()
  .regex(/^[0-9a-fA-F]{1,32}$/, { error: "a trace id is up to 32 hex digits" });
/** Microseconds. Some senders write them as text. */
const time = z.coerce.number().int().min(0);
const endpoint = z.looseObject({
  serviceName: maybe(z.string()),
  ipv4: maybe(z.string()),
  ipv6: maybe(z.string()),
  port: maybe(z.coerce.number().int().min(0).max(65_535)),
});

const span: z.ZodType<ZipkinSpan> = z.looseObject({
  traceId,
  id,
  parentId: maybe(id),
  kind: maybe(z.enum(ZIPKIN_KINDS)),
  name: maybe(z.string()),
  timestamp: maybe(time),
  duration: maybe(time),
  localEndpoint: maybe(endpoint),
  remoteEndpoint: maybe(endpoint),
  annotations: maybe(z.array(z.looseObject({ timestamp: time, value: z.string() }))),
  tags: maybe(z.record(z.string(), z.string())),
  debug: maybe(z.boolean()),
  shared: maybe(z.boolean()),
});
const list = z.array(span);

/** The spans, or what is wrong with the first that is none. */
export function readZipkinJson(body: Uint8Array): readonly ZipkinSpan[] | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return "the body is not JSON";
  }
  return checked(parsed);
}

/** The same for spans from elsewhere. */
export function checked(spans: unknown): readonly ZipkinSpan[] | string {
  const result = list.safeParse(spans);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  return `${issue?.path.join(".")}: ${issue?.message}`;
}
