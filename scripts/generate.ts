// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "..");
const NOTE = "Made by `npm run generate` from";

interface Field {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

interface Struct {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: readonly Field[];
}

const SCALARS: ReadonlyMap<string, number> = new Map([
  ["__u8", 1],
  ["__u16", 2],
  ["__u32", 4],
  ["__u64", 8],
]);

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, " ");
}

/** Lays out a struct as every C compiler does; padding that nobody wrote is an error. */
function layOut(name: string, body: string, known: ReadonlyMap<string, Struct>): Struct {
  const fields: Field[] = [];
  let offset = 0;
  let align = 1;
  for (const declaration of body.split(";").map((line) => line.trim())) {
    if (declaration === "") continue;
    const parts = /^(?:struct\s+)?(\w+)\s+(\w+)(?:\[(\d+)\])?$/.exec(declaration);
    const [, type = "", field = "", count] = parts ?? [];
    const nested = known.get(type);
    const size = SCALARS.get(type) ?? nested?.size;
    if (size === undefined) {
      throw new Error(`bpf/include/wire.h: struct ${name}: cannot read "${declaration}"`);
    }
    const fieldAlign = nested?.align ?? size;
    if (offset % fieldAlign !== 0) {
      throw new Error(`bpf/include/wire.h: struct ${name}: implicit padding before ${field}`);
    }
    align = Math.max(align, fieldAlign);
    fields.push({ name: field, offset, size, count: count === undefined ? 1 : Number(count) });
    offset += size * (count === undefined ? 1 : Number(count));
  }
  if (offset % align !== 0) {
    throw new Error(`bpf/include/wire.h: struct ${name}: implicit padding at its end`);
  }
  return { name, size: offset, align, fields };
}

function parseStructs(source: string): readonly Struct[] {
  const known = new Map<string, Struct>();
  for (const match of source.matchAll(/struct\s+(\w+)\s*\{([^}]*)\}\s*;/g)) {
    const [, name = "", body = ""] = match;
    known.set(name, layOut(name, body, known));
  }
  return [...known.values()];
}

function upper(name: string): string {
  return name.toUpperCase();
}

export function wireTypeScript(header: string): string {
  const source = withoutComments(header);
  const lines = ["// SPDX-License-Identifier: Apache-2.0", `// ${NOTE} bpf/include/wire.h.`, ""];
  for (const match of source.matchAll(/^#define\s+(\w+)[ \t]+(0x[0-9a-f]+|\d+)[ \t]*$/gim)) {
    lines.push(`export const ${match[1]} = ${match[2]};`);
  }
  for (const struct of parseStructs(source)) {
    const prefix = upper(struct.name);
    lines.push("", `export const ${prefix}_BYTES = ${struct.size};`);
    for (const field of struct.fields) {
      lines.push(`export const ${prefix}_${upper(field.name)} = ${field.offset};`);
      if (field.count > 1) {
        lines.push(`export const ${prefix}_${upper(field.name)}_COUNT = ${field.count};`);
      }
    }
  }
  refuseDuplicates(lines);
  return `${lines.join("\n")}\n`;
}

function refuseDuplicates(lines: readonly string[]): void {
  const names = new Set<string>();
  for (const line of lines) {
    const name = /^export const (\w+)/.exec(line)?.[1];
    if (name === undefined) continue;
    if (names.has(name)) throw new Error(`bpf/include/wire.h: gives the constant ${name} twice`);
    names.add(name);
  }
}

interface Code {
  readonly name: string;
  readonly description: string;
}

function unsafeCodes(json: string): Readonly<Record<string, readonly Code[]>> {
  // The file is ours and checked in; the parts that are read are checked where used.
  const { comment: _, ...groups } = JSON.parse(json) as Record<string, Code[]>;
  return groups;
}

export function codesHeader(json: string): string {
  const lines = ["/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */"];
  lines.push(`/* ${NOTE} bpf/codes.json. */`);
  lines.push("#ifndef BACKSTITCH_CODES_H", "#define BACKSTITCH_CODES_H", "");
  for (const [group, codes] of Object.entries(unsafeCodes(json))) {
    codes.forEach((code, index) => {
      lines.push(`#define ${upper(group)}_${upper(code.name)} ${index} /* ${code.description} */`);
    });
    lines.push("");
  }
  lines.push("#endif");
  return `${lines.join("\n")}\n`;
}

export function codesTypeScript(json: string): string {
  const lines = ["// SPDX-License-Identifier: Apache-2.0", `// ${NOTE} bpf/codes.json.`];
  for (const [group, codes] of Object.entries(unsafeCodes(json))) {
    lines.push("", `export const ${upper(group)}_REASONS = [`);
    for (const code of codes) lines.push(`  ${JSON.stringify(code.name)},`);
    lines.push("] as const;");
  }
  return `${lines.join("\n")}\n`;
}

async function outputs(): Promise<ReadonlyMap<string, string>> {
  const wire = readFileSync(path.join(ROOT, "bpf/include/wire.h"), "utf8");
  const codes = readFileSync(path.join(ROOT, "bpf/codes.json"), "utf8");
  return new Map([
    ["bpf/generated/wire.ts", wireTypeScript(wire)],
    ["bpf/generated/codes.h", codesHeader(codes)],
    ["bpf/generated/codes.ts", codesTypeScript(codes)],
    ...(await references()),
  ]);
}

/** What the components' schemas say; they load the native addon, so only when it is wanted. */
async function references(): Promise<readonly (readonly [string, string])[]> {
  const { configJsonSchema } = await import("../src/config/json-schema.ts");
  const { referenceMarkdown } = await import("../src/config/reference.ts");
  const { FACTORIES } = await import("../src/registry.ts");
  const schema = JSON.stringify(configJsonSchema(FACTORIES), undefined, 2);
  const intro = `# Options of every component\n\n${NOTE} their schemas. Keys as in \`--set\`, with \`::\`.\n`;
  return [
    ["docs/config.schema.json", `${schema}\n`],
    ["docs/components.md", `${intro}\n${referenceMarkdown(FACTORIES)}`],
  ];
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const check = process.argv.includes("--check");
  for (const [relative, text] of await outputs()) {
    const file = path.join(ROOT, relative);
    if (readIfThere(file) === text) continue;
    if (check) {
      console.error(`${relative}: out of date. Run: npm run generate`);
      process.exitCode = 1;
      continue;
    }
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`${relative}: written`);
  }
}

if (import.meta.main) await main();
