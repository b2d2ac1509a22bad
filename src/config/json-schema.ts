// SPDX-License-Identifier: Apache-2.0
/** The whole configuration as a JSON schema, for editors. */
import { z } from "zod";
import type { Factory } from "../component/component.ts";
import { SIGNALS } from "../model/batch.ts";
import type { Plain } from "./node.ts";
import { defaultText } from "./schema-default.ts";
import { telemetrySchema } from "./telemetry-config.ts";

export interface JsonSchema {
  readonly [key: string]: Plain | JsonSchema | readonly JsonSchema[] | undefined;
}

export const KINDS: readonly Factory["kind"][] = [
  "receiver",
  "processor",
  "exporter",
  "connector",
  "extension",
];
const DIALECT = "https://json-schema.org/draft/2020-12/schema";
/** In place of a value there may always be a reference, which is resolved before the check. */
export const REFERENCE: JsonSchema = { type: "string", pattern: "\\$\\{.*\\}" };

/** One property a type, `type` or `type/name`; old names are marked as deprecated. */
export function configJsonSchema(factories: readonly Factory[]): JsonSchema {
  const sections = KINDS.map((kind) => [`${kind}s`, sectionSchema(kind, factories)] as const);
  return {
    $schema: DIALECT,
    title: "Backstitch configuration",
    type: "object",
    properties: { ...Object.fromEntries(sections), service: serviceSchema() },
    required: ["receivers", "exporters", "service"],
    additionalProperties: false,
    $defs: Object.fromEntries(
      factories.map((factory) => [
        definitionName(factory),
        componentJsonSchema(factory.configSchema),
      ]),
    ),
  };
}

function definitionName(factory: Factory): string {
  return `${factory.kind}.${factory.type}`;
}

function sectionSchema(kind: Factory["kind"], factories: readonly Factory[]): JsonSchema {
  const patterns = factories
    .filter((factory) => factory.kind === kind)
    .flatMap((factory) => {
      const definition = { $ref: `#/$defs/${definitionName(factory)}` };
      const old = (factory.aliases ?? []).map(
        (alias) => [`^${alias}(/.+)?$`, { ...definition, deprecated: true }] as const,
      );
      return [[`^${factory.type}(/.+)?$`, definition] as const, ...old];
    });
  return {
    type: ["object", "null"],
    patternProperties: Object.fromEntries(patterns),
    additionalProperties: false,
  };
}

function serviceSchema(): JsonSchema {
  const ids = { type: "array", items: { type: "string" } };
  return {
    type: "object",
    properties: {
      components: ids,
      extensions: ids,
      pipelines: {
        type: "object",
        patternProperties: {
          [`^(${SIGNALS.join("|")})(/.+)?$`]: {
            type: "object",
            properties: { receivers: ids, processors: ids, exporters: ids },
            required: ["receivers", "exporters"],
            additionalProperties: false,
          },
        },
        additionalProperties: false,
      },
      telemetry: componentJsonSchema(telemetrySchema),
    },
    required: ["pipelines"],
    additionalProperties: false,
  };
}

/** What a configuration file may hold for a schema: before durations, sizes and so on are read. */
export function componentJsonSchema(schema: z.core.$ZodType): JsonSchema {
  const made = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", override });
  // Plain JSON, without the keys that only a document has.
  const { $schema: _, ...rest } = JSON.parse(JSON.stringify(made));
  return rest;
}

function override(context: {
  readonly zodSchema: z.core.$ZodTypes;
  readonly jsonSchema: z.core.JSONSchema.BaseSchema;
}): void {
  const { zodSchema, jsonSchema } = context;
  if (zodSchema instanceof z.ZodDefault) {
    const shown = defaultText(zodSchema.unwrap(), zodSchema.def.defaultValue);
    // JSON has no way to write an infinite or absent default.
    if (shown !== undefined) Object.assign(jsonSchema, { default: shown });
  }
  const { kind, secret: _, ...known } = jsonSchema;
  for (const key of ["kind", "secret"]) delete jsonSchema[key];
  if (kind !== undefined) Object.assign(jsonSchema, known, { "x-kind": kind });
  // Only names of texts that JSON schema does not know.
  delete jsonSchema.format;
  const { type } = jsonSchema;
  if (type === "object" || type === "array" || type === "string") {
    const isFree = jsonSchema.enum === undefined && jsonSchema.const === undefined;
    if (isFree) Object.assign(jsonSchema, { type: [type, "null"] });
  } else if (type === "number" || type === "integer" || type === "boolean") {
    const { default: fallback, description, ...value } = jsonSchema;
    for (const key of Object.keys(value)) delete jsonSchema[key];
    Object.assign(jsonSchema, { anyOf: [value, REFERENCE, { type: "null" }] });
  }
}
