// SPDX-License-Identifier: Apache-2.0
import type { EnumLayout, FieldLayout, Layout, RecordLayout } from "./layout.ts";

/** Names that the generated module must not give to a type of its own. */
const TAKEN = [
  ...["Array", "BigInt", "Boolean", "DataView", "Date", "Error", "Function", "Map", "Number"],
  ...["Object", "Promise", "Record", "Set", "String", "Symbol", "Uint8Array", "LoadedObject"],
  ...["BpfObject", "TypedMap", "Rodata", "Data", "Bss", "MapName", "ProgramName"],
];

/** `tcp_event` and `__u32 x` as type names: `TcpEvent`, `U32X`. */
export function pascalCase(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("");
  return /^[A-Za-z]/.test(joined) ? joined : `T${joined}`;
}

/** A C name as the name of a property. */
export function literal(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

function upperSnake(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase();
}

function camelCase(name: string): string {
  return name.slice(0, 1).toLowerCase() + name.slice(1);
}

function at(offset: string, more: number): string {
  return more === 0 ? offset : `${offset} + ${more}`;
}

/** The type declarations that the used layouts need, each once, in the order of their first use. */
export class GeneratedTypes {
  readonly #names = new Map<string, string>();
  readonly #used = new Set<string>(TAKEN);
  readonly #declarations: (readonly string[])[] = [];

  declarations(): readonly (readonly string[])[] {
    return this.#declarations;
  }

  /** The TypeScript type of a layout; `hint` names a type that has no name in C. */
  use(layout: Layout, hint: string): string {
    switch (layout.kind) {
      case "int":
        return layout.bytes === 8 ? "bigint" : "number";
      case "pointer":
        return "bigint";
      case "bool":
        return "boolean";
      case "float":
        return "number";
      case "text":
        return "string";
      case "bytes":
        return "Uint8Array";
      case "enum":
        return this.#enum(layout, hint);
      case "array":
        return `readonly ${parenthesised(this.use(layout.element, hint))}[]`;
      case "record":
        return this.#record(layout, hint);
      default:
        return layout satisfies never;
    }
  }

  /** An expression that is a function from view and offset to the value. */
  decoder(layout: Layout, hint: string): string {
    const read = this.#read(layout, "offset", hint);
    return `(view: DataView, offset: number): ${this.use(layout, hint)} => ${read}`;
  }

  #claim(key: string, wanted: string): { readonly name: string; readonly isNew: boolean } {
    const known = this.#names.get(key);
    if (known !== undefined) {
      return { name: known, isNew: false };
    }
    let name = wanted;
    for (let number = 0; this.#used.has(name); number++) {
      name = number === 0 ? `${wanted}Type` : `${wanted}${number + 1}`;
    }
    this.#used.add(name);
    this.#names.set(key, name);
    return { name, isNew: true };
  }

  #enum(layout: EnumLayout, hint: string): string {
    const { name, isNew } = this.#claim(
      `enum ${JSON.stringify(layout, bigintAsText)}`,
      pascalCase(layout.name || hint),
    );
    if (isNew) {
      const suffix = layout.bytes === 8 ? "n" : "";
      const values = layout.values.map((each) => `${each.value}${suffix}`);
      const base = layout.bytes === 8 ? "bigint" : "number";
      this.#declarations.push([
        `export const ${upperSnake(name)} = {`,
        ...layout.values.map((each) => `  ${literal(each.name)}: ${each.value}${suffix},`),
        "} as const;",
        `export type ${name} = ${[...new Set(values)].join(" | ") || base};`,
        "",
        `/** Relies on: the kernel writes no other value than \`enum ${layout.name}\` has. */`,
        `function unsafe${name}(value: ${base}): ${name} {`,
        `  return value as ${name};`,
        "}",
      ]);
    }
    return name;
  }

  #record(layout: RecordLayout, hint: string): string {
    const { name, isNew } = this.#claim(
      `record ${JSON.stringify(layout, bigintAsText)}`,
      pascalCase(layout.name || hint),
    );
    if (!isNew) {
      return name;
    }
    const fields = layout.fields.map((field) => {
      const fieldHint = `${name}_${field.name}`;
      const type = this.use(field.layout, fieldHint);
      return { field, type, read: (offset: string) => this.#readField(field, offset, fieldHint) };
    });
    const c = `${layout.isUnion ? "union" : "struct"} ${layout.name || hint}`;
    this.#declarations.push([
      `/** \`${c}\`, ${layout.bytes} bytes. */`,
      `export type ${name} = {`,
      ...fields.map(({ field, type }) => {
        return `  readonly ${literal(field.name)}${field.isShared ? "?" : ""}: ${type};`;
      }),
      "};",
      "",
      `/** Reads fields of \`${c}\` in place: nothing is made but what the field itself is. */`,
      `export const ${camelCase(name)}At = {`,
      ...fields.map(({ field, type, read }) => {
        const key = literal(field.name);
        return `  ${key}: (view: DataView, offset: number): ${type} => ${read("offset")},`;
      }),
      "} as const;",
      `export const ${upperSnake(name)}_BYTES = ${layout.bytes};`,
      "",
      `export function decode${name}(view: DataView, offset: number): ${name} {`,
      "  return {",
      ...fields.map(({ field, read }) => `    ${literal(field.name)}: ${read("offset")},`),
      "  };",
      "}",
    ]);
    return name;
  }

  #readField(field: FieldLayout, offset: string, hint: string): string {
    const place = at(offset, field.offset);
    if (field.bitField === undefined) {
      return this.#read(field.layout, place, hint);
    }
    const { layout } = field;
    const { shift, bits } = field.bitField;
    const signed = (layout.kind === "int" || layout.kind === "enum") && layout.signed;
    const value = `readBits(view, ${place}, { shift: ${shift}, bits: ${bits}, signed: ${signed} })`;
    if (layout.kind === "bool") {
      return `${value} !== 0n`;
    }
    const isWide = (layout.kind === "int" || layout.kind === "enum") && layout.bytes === 8;
    const number = isWide ? value : `Number(${value})`;
    return layout.kind === "enum" ? `unsafe${this.#enum(layout, hint)}(${number})` : number;
  }

  #read(layout: Layout, place: string, hint: string, depth = 0): string {
    switch (layout.kind) {
      case "int":
        return readInteger(layout, place);
      case "enum":
        return `unsafe${this.#enum(layout, hint)}(${readInteger(layout, place)})`;
      case "pointer":
        return `view.getBigUint64(${place}, true)`;
      case "bool":
        return `view.getUint8(${place}) !== 0`;
      case "float":
        return `view.getFloat${layout.bytes * 8}(${place}, true)`;
      case "text":
        return `readText(view, ${place}, ${layout.bytes})`;
      case "bytes":
        return `readBytes(view, ${place}, ${layout.bytes})`;
      case "array": {
        const { element, length } = layout;
        const index = `index${depth === 0 ? "" : depth}`;
        const inner = `${place} + ${index} * ${element.bytes}`;
        const read = this.#read(element, inner, hint, depth + 1);
        return `Array.from({ length: ${length} }, (_, ${index}) => ${read})`;
      }
      case "record":
        return `decode${this.#record(layout, hint)}(view, ${place})`;
      default:
        return layout satisfies never;
    }
  }
}

function readInteger(
  layout: { readonly bytes: number; readonly signed: boolean },
  place: string,
): string {
  const sign = layout.signed ? "Int" : "Uint";
  const big = layout.bytes === 8 ? "Big" : "";
  const order = layout.bytes === 1 ? "" : ", true";
  return `view.get${big}${sign}${layout.bytes * 8}(${place}${order})`;
}

function parenthesised(type: string): string {
  return type.includes(" ") ? `(${type})` : type;
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
