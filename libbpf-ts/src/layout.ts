// SPDX-License-Identifier: Apache-2.0
import type { Btf, BtfMember } from "./btf.ts";
import { BpfError } from "./errors.ts";

/** Nested structs and arrays deeper than this are damage. */
const DEPTH_MAX = 24;

/** How the bytes of a C type are read; `name` is the C name, empty for an unnamed type. */
export type Layout =
  | { readonly kind: "int"; readonly bytes: number; readonly signed: boolean }
  | { readonly kind: "bool"; readonly bytes: number }
  | { readonly kind: "float"; readonly bytes: number }
  | { readonly kind: "pointer"; readonly bytes: 8 }
  | EnumLayout
  /** An array of `char`: text up to the first NUL. */
  | { readonly kind: "text"; readonly bytes: number }
  /** An array of single bytes, or what has no better form. */
  | { readonly kind: "bytes"; readonly bytes: number }
  | ArrayLayout
  | RecordLayout;

export interface EnumLayout {
  readonly kind: "enum";
  readonly name: string;
  readonly bytes: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}

export interface ArrayLayout {
  readonly kind: "array";
  readonly bytes: number;
  readonly length: number;
  readonly element: Layout;
}

/** A struct or union. Members of unnamed structs and unions inside are members of this one. */
export interface RecordLayout {
  readonly kind: "record";
  readonly name: string;
  readonly bytes: number;
  readonly isUnion: boolean;
  readonly fields: readonly FieldLayout[];
}

export interface FieldLayout {
  readonly name: string;
  /** Bytes from the start of the record. */
  readonly offset: number;
  readonly layout: Layout;
  /** For a bit field: where it lies, counted from the lowest bit of `offset`'s byte. */
  readonly bitField: { readonly shift: number; readonly bits: number } | undefined;
  /** Shares its bytes with other fields, because it is of a union. */
  readonly isShared: boolean;
}

function tooDeep(): BpfError {
  return new BpfError({ code: "OPEN", message: "BTF: a type is nested too deep to be true." });
}

function fieldsOf(
  btf: Btf,
  parts: {
    readonly members: readonly BtfMember[];
    readonly base: number;
    readonly isShared: boolean;
    readonly depth: number;
  },
): readonly FieldLayout[] {
  const { members, base, isShared, depth } = parts;
  if (depth > DEPTH_MAX) {
    throw tooDeep();
  }
  return members.flatMap((member): readonly FieldLayout[] => {
    const type = btf.resolved(member.typeId);
    const bitOffset = base * 8 + member.bitOffset;
    if (member.name === "" && (type.kind === "struct" || type.kind === "union")) {
      const inner = isShared || type.kind === "union";
      const next = { members: type.members, base: bitOffset / 8, isShared: inner };
      return fieldsOf(btf, { ...next, depth: depth + 1 });
    }
    if (member.name === "") {
      return [];
    }
    const layout = layoutOf(btf, member.typeId, depth + 1);
    const offset = Math.floor(bitOffset / 8);
    const bitField = member.bits > 0 ? { shift: bitOffset % 8, bits: member.bits } : undefined;
    return [{ name: member.name, offset, layout, bitField, isShared }];
  });
}

function isScalarSize(bytes: number): boolean {
  return bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8;
}

/** Damaged types can place a field outside of its record. */
function assertInside(name: string, bytes: number, fields: readonly FieldLayout[]): void {
  for (const field of fields) {
    const { bitField, layout, offset } = field;
    const bits = bitField === undefined ? layout.bytes * 8 : bitField.shift + bitField.bits;
    if (!Number.isInteger(offset) || offset + Math.ceil(bits / 8) > bytes) {
      throw new BpfError({
        code: "OPEN",
        message: `BTF: field "${field.name}" lies outside of "${name}". Compile the object again.`,
      });
    }
  }
}

/** The layout of a type of an object's BTF. */
export function layoutOf(btf: Btf, typeId: number, depth = 0): Layout {
  if (depth > DEPTH_MAX) {
    throw tooDeep();
  }
  const type = btf.resolved(typeId);
  switch (type.kind) {
    case "int":
      if (!isScalarSize(type.bytes)) {
        return { kind: "bytes", bytes: type.bytes };
      }
      return type.isBool
        ? { kind: "bool", bytes: type.bytes }
        : { kind: "int", bytes: type.bytes, signed: type.signed };
    case "float":
      return { kind: type.bytes === 4 || type.bytes === 8 ? "float" : "bytes", bytes: type.bytes };
    case "pointer":
      return { kind: "pointer", bytes: 8 };
    case "enum":
      return isScalarSize(type.bytes) ? type : { kind: "bytes", bytes: type.bytes };
    case "array": {
      const element = layoutOf(btf, type.typeId, depth + 1);
      const bytes = element.bytes * type.length;
      if (element.kind === "int" && element.bytes === 1) {
        const inner = btf.resolved(type.typeId);
        return { kind: inner.kind === "int" && inner.isChar ? "text" : "bytes", bytes };
      }
      if (element.bytes === 0) {
        return { kind: "bytes", bytes: 0 };
      }
      return { kind: "array", bytes, length: type.length, element };
    }
    case "struct":
    case "union": {
      const isUnion = type.kind === "union";
      const { name, bytes, members } = type;
      const fields = fieldsOf(btf, { members, base: 0, isShared: isUnion, depth });
      assertInside(name, bytes, fields);
      return { kind: "record", name, bytes, isUnion, fields };
    }
    default:
      return { kind: "bytes", bytes: btf.bytesOf(typeId) };
  }
}
