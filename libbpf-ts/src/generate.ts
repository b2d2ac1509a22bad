// SPDX-License-Identifier: Apache-2.0
import { BpfError } from "./errors.ts";
import { GeneratedTypes, literal, pascalCase } from "./generated-types.ts";
import type { Layout } from "./layout.ts";
import { MAP_TYPE } from "./map.ts";
import type { NativeMapDescription, VariableDescription } from "./native.ts";
import { type BpfObject, openObject } from "./object.ts";

export interface GenerateOptions {
  /** The object file's name, for the comment at the top. */
  readonly name: string;
  /** Further types to write out: names of structs, unions, enums. */
  readonly types?: readonly string[];
  /** What each ring's records are, by the map's name, where the object does not say it. */
  readonly events?: Readonly<Record<string, string>>;
  /** The first line, a licence for instance; none if not given. */
  readonly header?: string;
  /** Where the generated code imports this package from. */
  readonly importFrom?: string;
}

/** A pointer of this name tells what is written to the ring `<map>`: `const struct x *<map>_record`. */
const RECORD_SUFFIX = "_record";
const SECTIONS = [".rodata", ".data", ".bss"] as const;

function ringMaps(maps: readonly NativeMapDescription[]): readonly NativeMapDescription[] {
  return maps.filter(({ type }) => type === MAP_TYPE.ringbuf || type === MAP_TYPE.perfEventArray);
}

/** The record of each ring: as the caller says, or as the object's own pointer variable does. */
function eventLayouts(
  object: BpfObject,
  options: GenerateOptions,
): ReadonlyMap<string, { readonly layout: Layout; readonly name: string }> {
  const found = new Map<string, { readonly layout: Layout; readonly name: string }>();
  const variables = [object.rodata, object.data, object.bss].flatMap((each) => each.variables);
  for (const { name } of ringMaps(object.maps)) {
    const given = options.events?.[name];
    const pointer = variables.find((each) => each.name === `${name}${RECORD_SUFFIX}`);
    if (given !== undefined) {
      found.set(name, { layout: object.types.layoutNamed(given), name: given });
    } else if (pointer !== undefined) {
      const type = object.types.btf.resolved(pointer.typeId);
      if (type.kind === "pointer") {
        found.set(name, { layout: object.types.layout(type.typeId), name: `${name}_record` });
      }
    }
  }
  return found;
}

function writeMaps(object: BpfObject, types: GeneratedTypes): readonly string[] {
  const typed = object.maps.filter((map) => map.valueTypeId !== 0);
  const lines = typed.map(({ name, keyTypeId, valueTypeId }) => {
    const key =
      keyTypeId === 0 ? "never" : types.use(object.types.layout(keyTypeId), `${name}_key`);
    const value = types.use(object.types.layout(valueTypeId), `${name}_value`);
    const type = `TypedMap<${key}, ${value}>`;
    const label = JSON.stringify(name);
    return `  ${literal(name)}: (loaded: LoadedObject): ${type} => loaded.typedMap(${label}),`;
  });
  return [
    "/** The maps that declare types, opened as `maps.name(loaded)`. */",
    "export const maps = {",
    ...lines,
    "} as const;",
  ];
}

function writeVariables(
  object: BpfObject,
  types: GeneratedTypes,
  section: (typeof SECTIONS)[number],
): readonly string[] {
  const globals = { ".rodata": object.rodata, ".data": object.data, ".bss": object.bss }[section];
  const variables = globals.variables.filter(isOwnVariable);
  if (variables.length === 0) {
    return [];
  }
  const typeName = pascalCase(section.slice(1));
  const optional = section === ".bss" ? "" : "?";
  const fields = variables.map(({ name, typeId }) => {
    const type = types.use(object.types.layout(typeId), `${typeName}_${name}`);
    return `  readonly ${literal(name)}${optional}: ${type};`;
  });
  const lines = [`/** The variables of \`${section}\`. */`, `export type ${typeName} = {`];
  lines.push(...fields, "};");
  if (section !== ".bss") {
    const member = section.slice(1);
    lines.push(
      "",
      `/** Sets variables of \`${section}\` before load. */`,
      `export function set${typeName}(object: BpfObject, values: ${typeName}): void {`,
      `  object.${member}.setTyped(values);`,
      "}",
    );
  }
  return lines;
}

function isOwnVariable({ name }: VariableDescription): boolean {
  return !name.endsWith(RECORD_SUFFIX) && /^[A-Za-z_]\w*$/.test(name);
}

/**
 * TypeScript for an object file: types of maps, variables, programs and events, and decoders with
 * the offsets of BTF. The same object gives the same text.
 *
 * @throws BpfError `OPEN` when it is no object or has no BTF, `UNKNOWN_NAME` for a type that it does
 *   not have.
 */
export function generateTypes(file: Uint8Array, options: GenerateOptions): string {
  using object = openObject(file, { name: options.name });
  const unknown = Object.keys(options.events ?? {}).find(
    (name) => !ringMaps(object.maps).some((map) => map.name === name),
  );
  if (unknown !== undefined) {
    throw new BpfError({
      code: "UNKNOWN_NAME",
      message: `event "${unknown}": the object has no ring or perf buffer of that name.`,
    });
  }
  const types = new GeneratedTypes();
  const events = [...eventLayouts(object, options)].map(([map, { layout, name }]) => {
    const type = types.use(layout, name);
    return { map, type, decode: types.decoder(layout, name) };
  });
  for (const name of options.types ?? []) {
    types.use(object.types.layoutNamed(name), name);
  }
  const sections = [
    writeMaps(object, types),
    ...SECTIONS.map((section) => writeVariables(object, types, section)),
    [
      "/** What each ring holds, for `ring.records` and `decode(ring.view, offset)`. */",
      "export const events = {",
      ...events.map(({ map, decode }) => `  ${literal(map)}: ${decode},`),
      "} as const;",
    ],
    writeNames("ProgramName", "A program of the object.", object.programs),
    writeNames("MapName", "A map of the object.", object.maps),
  ];
  const body = [...types.declarations(), ...sections.filter((lines) => lines.length > 0)];
  const text = body.map((lines) => lines.join("\n")).join("\n\n");
  return `${header(options, text)}\n\n${text}\n`;
}

function writeNames(
  type: string,
  comment: string,
  all: readonly { readonly name: string }[],
): readonly string[] {
  const names = all.map(({ name }) => `\n  | ${JSON.stringify(name)}`).join("");
  return [`/** ${comment} */`, `export type ${type} =${names === "" ? " never" : names};`];
}

function header(options: GenerateOptions, text: string): string {
  const from = JSON.stringify(options.importFrom ?? "libbpf-ts");
  const values = ["readBits", "readBytes", "readText"].filter((name) => text.includes(`${name}(`));
  const types = ["BpfObject", "LoadedObject", "TypedMap"].filter((name) =>
    new RegExp(`\\b${name}\\b`).test(text),
  );
  const names = [...types.map((name) => `type ${name}`), ...values];
  const lines = [
    ...(options.header === undefined ? [] : [options.header]),
    `// Generated by libbpf-ts from ${options.name.replace(/[^\w.-]/g, "_")}. Do not edit.`,
    "/* eslint-disable */",
  ];
  if (names.length > 0) {
    lines.push(`import { ${names.join(", ")} } from ${from};`);
  }
  return lines.join("\n");
}
