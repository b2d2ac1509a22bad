// SPDX-License-Identifier: Apache-2.0
import { ElfFile } from "./elf.ts";
import { BpfError } from "./errors.ts";

/** `BTF_KIND_*` of `linux/btf.h`. */
const KIND = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  forward: 7,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  function: 12,
  prototype: 13,
  variable: 14,
  section: 15,
  float: 16,
  declarationTag: 17,
  typeTag: 18,
  enum64: 19,
} as const;

const MAGIC = 0xeb9f;
const TYPES_MAX = 1 << 20;
const CHAIN_MAX = 32;
const INT_SIGNED = 1;
const INT_CHAR = 2;
const INT_BOOL = 4;

export interface BtfMember {
  readonly name: string;
  readonly typeId: number;
  readonly bitOffset: number;
  /** 0 when it is not a bit field. */
  readonly bits: number;
}

/** A type as BTF writes it, in the terms of C. */
export type BtfType =
  | { readonly kind: "void"; readonly name: string }
  | {
      readonly kind: "int";
      readonly name: string;
      readonly bytes: number;
      readonly signed: boolean;
      readonly isBool: boolean;
      readonly isChar: boolean;
    }
  | { readonly kind: "float"; readonly name: string; readonly bytes: number }
  | { readonly kind: "pointer"; readonly name: string; readonly typeId: number }
  | {
      readonly kind: "array";
      readonly name: string;
      readonly typeId: number;
      readonly length: number;
    }
  | {
      readonly kind: "struct" | "union";
      readonly name: string;
      readonly bytes: number;
      readonly members: readonly BtfMember[];
    }
  | {
      readonly kind: "enum";
      readonly name: string;
      readonly bytes: number;
      readonly signed: boolean;
      readonly values: readonly { readonly name: string; readonly value: bigint }[];
    }
  | { readonly kind: "alias"; readonly name: string; readonly typeId: number }
  | { readonly kind: "variable"; readonly name: string; readonly typeId: number }
  | { readonly kind: "other"; readonly name: string };

const VOID: BtfType = { kind: "void", name: "" };

function damaged(what: string): BpfError {
  return new BpfError({ code: "OPEN", message: `BTF: ${what}. Compile the object again with -g.` });
}

/** The types of an object file (its `.BTF` section), read without a kernel and without privileges. */
export class Btf {
  readonly #types: readonly BtfType[];

  private constructor(types: readonly BtfType[]) {
    this.#types = types;
  }

  /** @throws BpfError `OPEN` when it is damaged. */
  static parse(bytes: Uint8Array): Btf {
    try {
      return new Btf(parseTypes(bytes));
    } catch (cause) {
      throw cause instanceof BpfError ? cause : damaged(`it ends too early (${String(cause)})`);
    }
  }

  /** Of an ELF file's bytes; undefined when it has no BTF. */
  static ofObject(bytes: Uint8Array): Btf | undefined {
    using elf = ElfFile.over("object", bytes);
    const section = elf.section(".BTF");
    return section === undefined ? undefined : Btf.parse(elf.readSection(section));
  }

  /** Ids run from 1; 0 is `void`. */
  get typeCount(): number {
    return this.#types.length;
  }

  type(id: number): BtfType {
    const found = this.#types[id];
    if (found === undefined) {
      throw damaged(`type ${id} is not there`);
    }
    return found;
  }

  /** The id of what a chain of typedefs and qualifiers ends in. */
  resolve(id: number): number {
    let at = id;
    for (let step = 0; step < CHAIN_MAX; step++) {
      const type = this.type(at);
      if (type.kind !== "alias" && type.kind !== "variable") {
        return at;
      }
      at = type.typeId;
    }
    throw damaged("a typedef leads to itself");
  }

  resolved(id: number): BtfType {
    return this.type(this.resolve(id));
  }

  /** The id of a struct, union, enum or typedef by name, without `struct` before it. */
  find(name: string): number | undefined {
    const wanted = name.replace(/^(?:struct|union|enum)\s+/, "");
    let typedef: number | undefined;
    for (const [id, type] of this.#types.entries()) {
      if (type.name === wanted && wanted !== "") {
        if (type.kind === "struct" || type.kind === "union" || type.kind === "enum") {
          return id;
        }
        typedef ??= type.kind === "alias" ? id : undefined;
      }
    }
    return typedef;
  }

  /** Names of all structs, unions and enums. */
  names(): readonly string[] {
    return this.#types.flatMap((type) =>
      type.name !== "" && (type.kind === "struct" || type.kind === "union" || type.kind === "enum")
        ? [type.name]
        : [],
    );
  }

  /** Size of a value of a type; 0 for `void` and functions. */
  bytesOf(id: number, depth = 0): number {
    if (depth > CHAIN_MAX) {
      throw damaged("a type contains itself");
    }
    const type = this.resolved(id);
    switch (type.kind) {
      case "int":
      case "float":
      case "struct":
      case "union":
      case "enum":
        return type.bytes;
      case "pointer":
        return 8;
      case "array":
        return type.length * this.bytesOf(type.typeId, depth + 1);
      default:
        return 0;
    }
  }
}

function parseTypes(bytes: Uint8Array): readonly BtfType[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0, true) !== MAGIC) {
    throw damaged("it is not little-endian BTF");
  }
  const headerBytes = view.getUint32(4, true);
  const start = headerBytes + view.getUint32(8, true);
  const end = start + view.getUint32(12, true);
  const stringsStart = headerBytes + view.getUint32(16, true);
  const stringsEnd = Math.min(stringsStart + view.getUint32(20, true), bytes.byteLength);
  const strings = Buffer.from(
    bytes.buffer,
    bytes.byteOffset + stringsStart,
    stringsEnd - stringsStart,
  );
  const text = (offset: number): string => {
    const stop = strings.indexOf(0, offset);
    return strings.toString("utf8", offset, stop < 0 ? strings.length : stop);
  };
  const types: BtfType[] = [VOID];
  for (let at = start; at < end; ) {
    const { type, bytes: taken } = parseType(view, at, text);
    types.push(type);
    at += taken;
    if (types.length > TYPES_MAX) {
      throw damaged("it has more than a million types");
    }
  }
  return types;
}

type Text = (offset: number) => string;

function parseType(
  view: DataView,
  at: number,
  text: Text,
): { readonly type: BtfType; readonly bytes: number } {
  const word = (index: number): number => view.getUint32(at + index * 4, true);
  const name = text(word(0));
  const info = word(1);
  const length = info & 0xffff;
  const flag = info >>> 31 === 1;
  const size = word(2);
  const fixed = (type: BtfType, bytes: number): { type: BtfType; bytes: number } => ({
    type,
    bytes,
  });
  switch ((info >>> 24) & 0x1f) {
    case KIND.int: {
      const encoding = (word(3) >>> 24) & 0xf;
      const signed = (encoding & INT_SIGNED) !== 0;
      const isBool = (encoding & INT_BOOL) !== 0;
      const isChar = (encoding & INT_CHAR) !== 0 || name === "char";
      return fixed({ kind: "int", name, bytes: size, signed, isBool, isChar }, 16);
    }
    case KIND.float:
      return fixed({ kind: "float", name, bytes: size }, 12);
    case KIND.pointer:
      return fixed({ kind: "pointer", name, typeId: size }, 12);
    case KIND.array:
      return fixed({ kind: "array", name, typeId: word(3), length: word(5) }, 24);
    case KIND.struct:
    case KIND.union: {
      const kind = ((info >>> 24) & 0x1f) === KIND.struct ? "struct" : "union";
      const members = Array.from({ length }, (_, index) => {
        const offset = word(3 + index * 3 + 2);
        return {
          name: text(word(3 + index * 3)),
          typeId: word(3 + index * 3 + 1),
          bitOffset: flag ? offset & 0xffffff : offset,
          bits: flag ? offset >>> 24 : 0,
        };
      });
      return fixed({ kind, name, bytes: size, members }, 12 + length * 12);
    }
    case KIND.enum:
    case KIND.enum64:
      return parseEnum({ view, at, text, name, length, signed: flag, size });
    case KIND.typedef:
    case KIND.volatile:
    case KIND.const:
    case KIND.restrict:
    case KIND.typeTag:
      return fixed({ kind: "alias", name, typeId: size }, 12);
    case KIND.variable:
      return fixed({ kind: "variable", name, typeId: size }, 16);
    case KIND.forward:
    case KIND.function:
      return fixed({ kind: "other", name }, 12);
    case KIND.prototype:
      return fixed({ kind: "other", name }, 12 + length * 8);
    case KIND.section:
      return fixed({ kind: "other", name }, 12 + length * 12);
    case KIND.declarationTag:
      return fixed({ kind: "other", name }, 16);
    default:
      throw damaged(`it has a type of unknown kind ${(info >>> 24) & 0x1f}`);
  }
}

function parseEnum(parts: {
  readonly view: DataView;
  readonly at: number;
  readonly text: Text;
  readonly name: string;
  readonly length: number;
  readonly signed: boolean;
  readonly size: number;
}): { readonly type: BtfType; readonly bytes: number } {
  const { view, at, text, name, length, signed, size } = parts;
  const isWide = ((view.getUint32(at + 4, true) >>> 24) & 0x1f) === KIND.enum64;
  const step = isWide ? 12 : 8;
  const values = Array.from({ length }, (_, index) => {
    const start = at + 12 + index * step;
    const low = view.getUint32(start + 4, true);
    const raw = isWide
      ? (BigInt(view.getUint32(start + 8, true)) << 32n) | BigInt(low)
      : BigInt(low);
    const value = signed ? BigInt.asIntN(isWide ? 64 : 32, raw) : raw;
    return { name: text(view.getUint32(start, true)), value };
  });
  return { type: { kind: "enum", name, bytes: size, signed, values }, bytes: 12 + length * step };
}
