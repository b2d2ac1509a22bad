// SPDX-License-Identifier: Apache-2.0
/** A checked configuration written out again, with every default. */
import { z } from "zod";
import type { Factory } from "../component/component.ts";
import type { AgentConfig, Configured } from "./agent-config.ts";
import { formatDuration } from "./duration.ts";
import type { Plain } from "./node.ts";
import { defaultText, toPlainDefault } from "./schema-default.ts";
import { metaOf } from "./schema-keys.ts";
import { telemetrySchema } from "./telemetry-config.ts";

type Schema = z.core.$ZodType;

const REDACTED = "[REDACTED]";

export interface PrintOptions {
  /** Secrets are shown as `[REDACTED]`. */
  readonly redacted: boolean;
}

/** What `print-config` shows: the Collector's sections, in its order. */
export function printableConfig(config: AgentConfig, options: PrintOptions): Plain {
  const section = (all: ReadonlyMap<string, Configured<Factory>>): Plain =>
    Object.fromEntries(
      [...all].map(([id, { factory, input }]) => [
        id,
        withDefaults(factory.configSchema, input, options) ?? {},
      ]),
    );
  const { components, extensions, pipelines, telemetryInput } = config.service;
  return {
    receivers: section(config.receivers),
    processors: section(config.processors),
    exporters: section(config.exporters),
    connectors: section(config.connectors),
    extensions: section(config.extensions),
    service: {
      ...(components.length === 0 ? {} : { components }),
      telemetry: withDefaults(telemetrySchema, telemetryInput, options) ?? {},
      extensions,
      pipelines: Object.fromEntries(
        pipelines.map(({ id, receivers, processors, exporters }) => [
          id,
          { receivers, processors, exporters },
        ]),
      ),
    },
  };
}

/** The input with what the schema would add to it; undefined when it stays absent. */
function withDefaults(
  schema: Schema,
  input: Plain | undefined,
  options: PrintOptions,
): Plain | undefined {
  const meta = metaOf(schema);
  if (meta["secret"] === true && options.redacted) return redact(input);
  if (meta["kind"] === "duration") return durationText(input);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return input === undefined ? undefined : withDefaults(schema.unwrap(), input, options);
  }
  if (schema instanceof z.ZodDefault) {
    if (input !== undefined) return withDefaults(schema.unwrap(), input, options);
    return defaultText(schema.unwrap(), schema.def.defaultValue);
  }
  if (schema instanceof z.ZodPrefault) {
    return withDefaults(schema.unwrap(), input ?? toPlainDefault(schema.def.defaultValue), options);
  }
  if (schema instanceof z.ZodPipe) {
    const inner = schema.in instanceof z.ZodTransform ? schema.out : schema.in;
    return withDefaults(inner, input, options);
  }
  if (schema instanceof z.ZodUnion) {
    const fitting = schema.options.find((option: Schema) => z.safeParse(option, input).success);
    return fitting === undefined ? input : withDefaults(fitting, input, options);
  }
  return inChildren(schema, input, options);
}

function inChildren(
  schema: Schema,
  input: Plain | undefined,
  options: PrintOptions,
): Plain | undefined {
  if (schema instanceof z.ZodObject && isMap(input)) {
    const shape: Readonly<Record<string, Schema>> = schema.shape;
    const entries = Object.entries(shape).flatMap(([key, child]) => {
      const value = withDefaults(child, input[key], options);
      return value === undefined ? [] : [[key, value] as const];
    });
    return Object.fromEntries(entries);
  }
  if (schema instanceof z.ZodRecord && isMap(input)) {
    const entries = Object.entries(input).map(
      ([key, value]) => [key, withDefaults(schema.valueType, value, options) ?? null] as const,
    );
    return Object.fromEntries(entries);
  }
  if (schema instanceof z.ZodArray && Array.isArray(input)) {
    return input.map((item: Plain) => withDefaults(schema.element, item, options) ?? null);
  }
  return input;
}

function isMap(input: Plain | undefined): input is { readonly [key: string]: Plain } {
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

/** The keys stay, the values go. */
function redact(input: Plain | undefined): Plain | undefined {
  if (input === undefined) return undefined;
  if (Array.isArray(input)) return input.map((item: Plain) => redactEntry(item));
  if (!isMap(input)) return REDACTED;
  return Object.fromEntries(Object.keys(input).map((key) => [key, REDACTED]));
}

function redactEntry(item: Plain): Plain {
  return isMap(item) ? { ...item, value: REDACTED } : REDACTED;
}

/** Nanoseconds as Go prints a duration; texts stay as written. */
function durationText(input: Plain | undefined): Plain | undefined {
  if (typeof input !== "number") return input ?? "0s";
  return formatDuration(input);
}
