// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { formatDuration } from "./duration.ts";
import type { Plain } from "./node.ts";
import { metaOf } from "./schema-keys.ts";

type Schema = z.core.$ZodType;

const NS_PER_MS = 1e6;

/** A default is what the schema gives, not what it takes: milliseconds, an endpoint, a map. */
export function defaultText(schema: Schema, value: unknown): Plain {
  const isDuration =
    metaOf(schema)["kind"] === "duration" ||
    (schema instanceof z.ZodPipe && metaOf(schema.in)["kind"] === "duration");
  if (isDuration && typeof value === "number") return formatDuration(value * NS_PER_MS);
  return toPlainDefault(value);
}

export function toPlainDefault(value: unknown): Plain {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return value;
  if (value instanceof Map) return {};
  if (Array.isArray(value)) return value.map((item: unknown) => toPlainDefault(item));
  if (typeof value !== "object") return null;
  if ("text" in value && typeof value.text === "string") return value.text;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, toPlainDefault(item)] as const),
  );
}
