// SPDX-License-Identifier: Apache-2.0
import type { Factory } from "../component/component.ts";
import { componentJsonSchema, type JsonSchema, KINDS, REFERENCE } from "./json-schema.ts";

interface Row {
  readonly key: string;
  readonly type: string;
  readonly fallback: string;
  readonly text: string;
}

/** The options of every component as Markdown tables, from the same schemas. */
export function referenceMarkdown(factories: readonly Factory[]): string {
  const lines: string[] = [];
  for (const kind of KINDS) {
    lines.push(`## ${kind.charAt(0).toUpperCase()}${kind.slice(1)}s`, "");
    const ofKind = factories.filter((factory) => factory.kind === kind);
    for (const factory of ofKind.toSorted((a, b) => (a.type < b.type ? -1 : 1))) {
      lines.push(...componentLines(factory), "");
    }
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function componentLines(factory: Factory): string[] {
  const aliases = factory.aliases ?? [];
  const old = aliases.length === 0 ? "" : ` (also \`${aliases.join("`, `")}\`)`;
  const folder = `../${factory.kind}s/${factory.type}/README.md`;
  const head = [`### \`${factory.type}\`${old}`, "", `${factory.stability}. [More](${folder})`, ""];
  const rows = rowsOf(componentJsonSchema(factory.configSchema), "");
  if (rows.length === 0) return [...head, "No options."];
  return [
    ...head,
    "| key | type | default | |",
    "| --- | --- | --- | --- |",
    ...rows.map(
      ({ key, type, fallback, text }) => `| \`${key}\` | ${type} | ${fallback} | ${text} |`,
    ),
  ];
}

function rowsOf(schema: JsonSchema, prefix: string): Row[] {
  const { properties } = objectOf(schema);
  if (!isSchema(properties)) return [];
  return Object.entries(properties).flatMap(([name, child]) => {
    if (!isSchema(child)) return [];
    const key = `${prefix}${name}`;
    const inner = [...rowsOf(child, `${key}::`), ...rowsOf(itemsOf(child), `${key}[]::`)];
    const row = {
      key,
      type: typeText(child),
      fallback: fallbackText(child),
      text: describe(child),
    };
    return inner.length > 0 && row.text === "" ? inner : [row, ...inner];
  });
}

/** The object among what a key may be: an optional section may also be null. */
function objectOf(schema: JsonSchema): JsonSchema {
  if (isObject(schema)) return schema;
  const options = schema["anyOf"];
  const found = Array.isArray(options)
    ? options.find((option) => isSchema(option) && isObject(option))
    : undefined;
  return isSchema(found) ? found : {};
}

function isObject({ type }: JsonSchema): boolean {
  return type === "object" || (Array.isArray(type) && type.includes("object"));
}

function typeText(schema: JsonSchema): string {
  const kind = schema["x-kind"];
  if (typeof kind === "string") return kind;
  const choices = schema["enum"];
  if (Array.isArray(choices)) return choices.map((choice) => `\`${String(choice)}\``).join(", ");
  if ("const" in schema) return `\`${String(schema["const"])}\``;
  const { type, anyOf } = schema;
  const types = (Array.isArray(type) ? type : [type]).filter((one) => one !== "null");
  if (types.includes("array")) return `list of ${itemText(schema)}`;
  if (types[0] !== undefined) return types.join(" or ");
  if (!Array.isArray(anyOf)) return "any";
  const options = anyOf
    .filter((option) => isSchema(option) && option["pattern"] !== REFERENCE["pattern"])
    .map((option) => (isSchema(option) ? typeText(option) : ""));
  return [...new Set(options.filter((one) => one !== "null"))].join(" or ");
}

function itemsOf({ items }: JsonSchema): JsonSchema {
  return isSchema(items) ? items : {};
}

function itemText({ items }: JsonSchema): string {
  return isSchema(items) ? typeText(items) : "any";
}

function fallbackText(schema: JsonSchema): string {
  const fallback = schema["default"];
  if (fallback === undefined) return "";
  const text = typeof fallback === "string" ? fallback : JSON.stringify(fallback);
  return text === "" ? "" : `\`${text.replaceAll("|", "\\|")}\``;
}

function describe(schema: JsonSchema): string {
  const text = schema["description"];
  return typeof text === "string" ? text.replaceAll("|", "\\|") : "";
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
