// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { compileRe2, type Re2 } from "../config/re2.ts";
import type { AttributeAction, ConvertedType } from "./actions.ts";
import { encodeAnyValue } from "./any-value.ts";

const TYPES: readonly ConvertedType[] = ["string", "int", "double"];

const bodySchema = z.strictObject({
  key: z.string().default("").describe("The attribute to act on."),
  action: z
    .string()
    .default("")
    .describe("insert, update, upsert, delete, hash, extract or convert."),
  value: z.unknown().optional().describe("For insert, update, upsert: the value."),
  from_attribute: z.string().default("").describe("Or the attribute that has it."),
  from_context: z
    .string()
    .max(0, {
      error: "from_context is not supported: batches carry no client metadata. Remove the action",
    })
    .default("")
    .describe("Refused: batches carry no client metadata."),
  default_value: z.unknown().optional().describe("The value where from_attribute has none."),
  pattern: z
    .string()
    .default("")
    .describe("For delete, hash: keys to act on. For extract: groups with names."),
  converted_type: z.string().default("").describe("For convert: int, double or string."),
});
type Body = z.infer<typeof bodySchema>;

/** A list of actions with the Collector's rules and texts; gives them compiled. */
export function actionsSchema(): z.ZodType<readonly AttributeAction[], unknown> {
  return z.array(bodySchema).transform((bodies, context): readonly AttributeAction[] =>
    bodies.flatMap((body, index) => {
      const action = compileAction(body, index);
      if (typeof action !== "string") return [action];
      context.addIssue({ code: "custom", path: [index], message: action });
      return [];
    }),
  );
}

/** A text is what is wrong. */
function compileAction(body: Body, index: number): AttributeAction | string {
  const kind = body.action.toLowerCase();
  const key = Buffer.from(body.key);
  if (kind === "delete" || kind === "hash") {
    if (body.key === "" && body.pattern === "") {
      return `error creating AttrProc due to missing required field (at least one of "key" and "pattern" have to be used) at the ${index}-th actions`;
    }
  } else if (body.key === "") {
    return `error creating AttrProc due to missing required field "key" at the ${index}-th actions`;
  }
  switch (kind) {
    case "insert":
    case "update":
    case "upsert":
      return compileSet(kind, key, body, index);
    case "delete":
    case "hash":
      return compileMatching(kind, key, body, index);
    case "extract":
      return compileExtract(key, body, index);
    case "convert":
      return compileConvert(key, body, index);
    default:
      return (
        `error creating AttrProc due to unsupported action ${JSON.stringify(kind)} at the ` +
        `${index}-th actions`
      );
  }
}

function hasValue(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function sourceCount(body: Body): number {
  return (hasValue(body.value) ? 1 : 0) + (body.from_attribute === "" ? 0 : 1);
}

function unused(kind: string, fields: string, index: number): string {
  return `error creating AttrProc. Action "${kind}" does not use ${fields} must not be specified for ${index}-th action`;
}

function compileSet(
  kind: "insert" | "update" | "upsert",
  key: Uint8Array,
  body: Body,
  index: number,
): AttributeAction | string {
  const count = sourceCount(body);
  if (count === 0 && !hasValue(body.default_value)) {
    return `error creating AttrProc. Either field "value", "from_attribute" or "from_context" setting must be specified for ${index}-th action`;
  }
  if (count > 1) {
    return `error creating AttrProc due to multiple value sources being set at the ${index}-th actions`;
  }
  if (body.pattern !== "") return unused(kind, 'the "pattern" field. This', index);
  if (body.converted_type !== "") return unused(kind, 'the "converted_type" field. This', index);
  const from = body.from_attribute;
  const source = {
    value: hasValue(body.value) ? encodeAnyValue(body.value) : undefined,
    fromAttribute: from === "" ? undefined : Buffer.from(from),
    defaultValue: hasValue(body.default_value) ? encodeAnyValue(body.default_value) : undefined,
  };
  return { kind, key, source };
}

function compileMatching(
  kind: "delete" | "hash",
  key: Uint8Array,
  body: Body,
  index: number,
): AttributeAction | string {
  if (sourceCount(body) > 0) return unused(kind, '"value" or "from_attribute" field. These', index);
  if (body.converted_type !== "") return unused(kind, 'the "converted_type" field. This', index);
  if (body.pattern === "") return { kind, key, pattern: undefined };
  const pattern = compilePattern(body.pattern, index);
  return typeof pattern === "string" ? pattern : { kind, key, pattern: pattern.regexp };
}

function compilePattern(pattern: string, index: number): Re2 | string {
  const compiled = compileRe2(pattern);
  if (typeof compiled !== "string") return compiled;
  return `error creating AttrProc. Field "pattern" has invalid pattern: "${pattern}" to be set at the ${index}-th actions: ${compiled}`;
}

function compileExtract(key: Uint8Array, body: Body, index: number): AttributeAction | string {
  if (sourceCount(body) > 0) return unused("extract", "a value source field. These", index);
  if (body.pattern === "") {
    return `error creating AttrProc due to missing required field "pattern" for action "extract" at the ${index}-th action`;
  }
  if (body.converted_type !== "") {
    return unused("extract", 'the "converted_type" field. This', index);
  }
  const pattern = compilePattern(body.pattern, index);
  if (typeof pattern === "string") return pattern;
  const prefix = 'error creating AttrProc. Field "pattern" contains';
  if (pattern.groupNames.length === 0) {
    return `${prefix} no named matcher groups at the ${index}-th actions`;
  }
  if (pattern.groupNames.includes("")) {
    return `${prefix} at least one unnamed matcher group at the ${index}-th actions`;
  }
  const names = pattern.groupNames.map((name) => Buffer.from(name));
  return { kind: "extract", key, pattern: pattern.regexp, names };
}

function compileConvert(key: Uint8Array, body: Body, index: number): AttributeAction | string {
  if (sourceCount(body) > 0 || body.pattern !== "") {
    return unused("convert", 'value sources or "pattern" field. These', index);
  }
  if (body.converted_type === "") {
    return `error creating AttrProc due to missing required field "converted_type" for action "convert" at the ${index}-th action`;
  }
  const to = TYPES.find((type) => type === body.converted_type);
  if (to === undefined) {
    return `error creating AttrProc due to invalid value "${body.converted_type}" in field "converted_type" for action "convert" at the ${index}-th action`;
  }
  return { kind: "convert", key, to };
}
