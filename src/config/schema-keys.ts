// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";

type Schema = z.core.$ZodType;

/** The keys that the schema takes at a path, for "did you mean"; empty where any key is taken. */
export function keysAt(schema: Schema, path: readonly PropertyKey[]): readonly string[] {
  const open = schemasAlong(schema, path).at(-1) ?? [];
  const keys = open.flatMap((at) => (at instanceof z.ZodObject ? Object.keys(at.shape) : []));
  return [...new Set(keys)];
}

/** True when the schema at the path, or one round it, is marked as secret. */
export function isSecretAt(schema: Schema, path: readonly PropertyKey[]): boolean {
  return schemasAlong(schema, path).some((open) => open.some(isMarkedSecret));
}

/** True when the schema at the path takes whole numbers only. */
export function isIntegerAt(schema: Schema, path: readonly PropertyKey[]): boolean {
  const last = schemasAlong(schema, path).at(-1) ?? [];
  return last.some((at) => at instanceof z.ZodNumberFormat);
}

/** The schemas that apply at each step of a path, the root first. */
function schemasAlong(schema: Schema, path: readonly PropertyKey[]): Schema[][] {
  let open = unwrapAll(schema);
  const along = [open];
  for (const key of path) {
    open = open.flatMap((at) => childrenOf(at, key)).flatMap((child) => unwrapAll(child));
    along.push(open);
  }
  return along;
}

function isMarkedSecret(schema: Schema): boolean {
  return metaOf(schema)["secret"] === true;
}

/** What the schema says about itself: `secret`, `kind`, `description`. */
export function metaOf(schema: Schema): Readonly<Record<string, unknown>> {
  return (schema instanceof z.ZodType ? schema.meta() : undefined) ?? {};
}

function childrenOf(schema: Schema, key: PropertyKey): Schema[] {
  if (schema instanceof z.ZodObject) {
    const child: Schema | undefined = schema.shape[String(key)];
    return child === undefined ? [] : [child];
  }
  if (schema instanceof z.ZodRecord) return [schema.valueType];
  if (schema instanceof z.ZodArray) return [schema.element];
  return [];
}

/** The schema and everything it wraps, without going into fields. */
function unwrapAll(schema: Schema): Schema[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return [schema, ...unwrapAll(schema.unwrap())];
  }
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return [schema, ...unwrapAll(schema.unwrap())];
  }
  if (schema instanceof z.ZodPipe)
    return [schema, ...unwrapAll(schema.in), ...unwrapAll(schema.out)];
  if (schema instanceof z.ZodUnion || schema instanceof z.ZodDiscriminatedUnion) {
    return [schema, ...schema.options.flatMap((option: Schema) => unwrapAll(option))];
  }
  if (schema instanceof z.ZodReadonly) return [schema, ...unwrapAll(schema.unwrap())];
  if (schema instanceof z.ZodLazy) return [schema];
  return [schema];
}

/** Every key that the schema knows, with those of its maps, each path once. */
export function optionPaths(schema: Schema, path: readonly string[] = []): string[][] {
  if (path.length > 10) return [];
  const keys = keysAt(schema, path);
  return keys.flatMap((key) => {
    const own = [...path, key];
    return [own, ...optionPaths(schema, own)];
  });
}
