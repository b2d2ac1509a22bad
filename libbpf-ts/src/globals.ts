// SPDX-License-Identifier: Apache-2.0
import { endianness } from "node:os";

import { type BtfValue, decodeValue, encodeValue } from "./codec.ts";
import { BpfError } from "./errors.ts";
import { guarded } from "./failure.ts";
import type { MappedMemory } from "./mapped-memory.ts";
import type { NativeObject, VariableDescription } from "./native.ts";
import { unknownName } from "./nearest.ts";
import type { ObjectTypes } from "./object-types.ts";

/** What a global variable is set to; structs and arrays as their bytes. */
export type GlobalValue = number | bigint | boolean | Uint8Array;

const LITTLE = endianness() === "LE";

function find(variables: readonly VariableDescription[], name: string): VariableDescription {
  const variable = variables.find((each) => each.name === name);
  if (variable === undefined) {
    const names = variables.map((each) => each.name);
    throw unknownName("variable", name, names);
  }
  return variable;
}

function rejected(variable: VariableDescription, problem: string): BpfError {
  const sign = variable.signed ? "signed" : "unsigned";
  const type = variable.kind === "bytes" ? "struct or array" : `${sign} ${variable.kind}`;
  return new BpfError({
    code: "ARGUMENT",
    message: `variable "${variable.name}" (${type}, ${variable.bytes} bytes): ${problem}`,
  });
}

function integerBytes(variable: VariableDescription, value: bigint): Uint8Array {
  const bits = variable.bytes * 8;
  const fits = variable.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  if (fits !== value) {
    throw rejected(variable, `${value} does not fit.`);
  }
  const scratch = new DataView(new ArrayBuffer(8));
  scratch.setBigUint64(0, BigInt.asUintN(64, value), LITTLE);
  const start = LITTLE ? 0 : 8 - variable.bytes;
  return new Uint8Array(scratch.buffer, start, variable.bytes);
}

function floatBytes(variable: VariableDescription, value: number): Uint8Array {
  const scratch = new DataView(new ArrayBuffer(variable.bytes));
  if (variable.bytes === 4) {
    scratch.setFloat32(0, value, LITTLE);
  } else {
    scratch.setFloat64(0, value, LITTLE);
  }
  return new Uint8Array(scratch.buffer);
}

function encode(variable: VariableDescription, value: GlobalValue): Uint8Array {
  if (value instanceof Uint8Array) {
    if (value.length !== variable.bytes) {
      throw rejected(variable, `${value.length} bytes were given.`);
    }
    return value;
  }
  if (variable.kind === "bytes" || variable.bytes > 8) {
    throw rejected(variable, "give its bytes as a Uint8Array.");
  }
  if (variable.kind === "float") {
    return floatBytes(variable, Number(value));
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw rejected(variable, `${value} is not a safe integer. Use a bigint.`);
  }
  const integer = BigInt(value);
  if (variable.kind === "bool" && integer !== 0n && integer !== 1n) {
    throw rejected(variable, `${value} is neither true nor false.`);
  }
  return integerBytes(variable, integer);
}

function decode(variable: VariableDescription, view: DataView): GlobalValue {
  const { offset, bytes, kind, signed } = variable;
  const isScalar = kind !== "bytes" && (bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8);
  if (!isScalar) {
    return new Uint8Array(view.buffer, view.byteOffset + offset, bytes).slice();
  }
  switch (kind) {
    case "bool":
      return view.getUint8(offset) !== 0;
    case "float":
      return bytes === 4 ? view.getFloat32(offset, LITTLE) : view.getFloat64(offset, LITTLE);
    default:
  }
  switch (bytes) {
    case 1:
      return signed ? view.getInt8(offset) : view.getUint8(offset);
    case 2:
      return signed ? view.getInt16(offset, LITTLE) : view.getUint16(offset, LITTLE);
    case 4:
      return signed ? view.getInt32(offset, LITTLE) : view.getUint32(offset, LITTLE);
    default:
      return signed ? view.getBigInt64(offset, LITTLE) : view.getBigUint64(offset, LITTLE);
  }
}

/** Initial values of the global variables of an object that is not loaded yet, by name. */
export class InitialGlobals {
  readonly #object: NativeObject;
  readonly #variables: readonly VariableDescription[];
  readonly #sectionBytes: ReadonlyMap<string, number>;
  readonly #types: ObjectTypes;

  constructor(
    object: NativeObject,
    parts: {
      readonly variables: readonly VariableDescription[];
      readonly sectionBytes: ReadonlyMap<string, number>;
      readonly types: ObjectTypes;
    },
  ) {
    this.#object = object;
    this.#variables = parts.variables;
    this.#sectionBytes = parts.sectionBytes;
    this.#types = parts.types;
  }

  get variables(): readonly VariableDescription[] {
    return this.#variables;
  }

  /**
   * Sets variables before load. Integers are checked against the variable's size and sign, a
   * Uint8Array must have exactly its size. An unknown name is an error that names the nearest one.
   */
  set(values: Readonly<Record<string, GlobalValue>>): void {
    for (const [name, value] of Object.entries(values)) {
      const variable = find(this.#variables, name);
      const bytes = encode(variable, value);
      guarded({ code: "ARGUMENT", operation: `set variable "${name}"` }, () =>
        this.#object.writeInitial(variable.map, variable.offset, bytes),
      );
    }
  }

  /** As {@link set}, with structs as objects, arrays as arrays and `char` arrays as text. */
  setTyped(values: { readonly [name: string]: unknown }): void {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) {
        continue;
      }
      const layout = this.#types.layout(find(this.#variables, name).typeId);
      this.set({ [name]: encodeValue(layout, value, `variable "${name}"`) });
    }
  }

  /** As {@link get}, with structs as objects, arrays as arrays and `char` arrays as text. */
  getTyped(name: string): BtfValue {
    const variable = find(this.#variables, name);
    const section = new Uint8Array(this.#sectionBytes.get(variable.map) ?? 0);
    guarded({ code: "ARGUMENT", operation: `get variable "${name}"` }, () =>
      this.#object.readInitial(variable.map, section),
    );
    const view = new DataView(section.buffer);
    return decodeValue(this.#types.layout(variable.typeId), view, variable.offset);
  }

  /** Integers of up to 4 bytes as numbers, of 8 bytes as bigint, structs and arrays as a copy. */
  get(name: string): GlobalValue {
    const variable = find(this.#variables, name);
    const section = new Uint8Array(this.#sectionBytes.get(variable.map) ?? 0);
    guarded({ code: "ARGUMENT", operation: `get variable "${name}"` }, () =>
      this.#object.readInitial(variable.map, section),
    );
    return decode(variable, new DataView(section.buffer));
  }
}

/** A section of global variables of a loaded object, mapped: reads and writes cost no system call. */
export class MappedGlobals {
  readonly #memory: MappedMemory;
  readonly #variables: readonly VariableDescription[];
  readonly #isWritable: boolean;
  readonly #types: ObjectTypes;

  constructor(options: {
    readonly types: ObjectTypes;
    readonly memory: MappedMemory;
    readonly variables: readonly VariableDescription[];
    readonly isWritable: boolean;
  }) {
    this.#memory = options.memory;
    this.#variables = options.variables;
    this.#isWritable = options.isWritable;
    this.#types = options.types;
  }

  /** The whole section, live. */
  get bytes(): Uint8Array {
    return this.#memory.bytes;
  }

  get view(): DataView {
    return this.#memory.view;
  }

  get variables(): readonly VariableDescription[] {
    return this.#variables;
  }

  /** Where a variable lies in `bytes`. */
  variable(name: string): VariableDescription {
    return find(this.#variables, name);
  }

  /** As {@link InitialGlobals.get}, of now. */
  get(name: string): GlobalValue {
    this.#assertOpen();
    return decode(find(this.#variables, name), this.#memory.view);
  }

  /** As {@link InitialGlobals.getTyped}, of now. */
  getTyped(name: string): BtfValue {
    this.#assertOpen();
    const { typeId, offset } = find(this.#variables, name);
    return decodeValue(this.#types.layout(typeId), this.#memory.view, offset);
  }

  /** Writes variables while programs run; each by itself, not all at once. */
  set(values: Readonly<Record<string, GlobalValue>>): void {
    this.#assertOpen();
    for (const [name, value] of Object.entries(values)) {
      const variable = find(this.#variables, name);
      if (!this.#isWritable) {
        throw rejected(variable, "it is read-only once the object is loaded.");
      }
      this.#memory.bytes.set(encode(variable, value), variable.offset);
    }
  }

  /** Unmaps. A second call does nothing. */
  close(): void {
    this.#memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(): void {
    if (this.#memory.isClosed) {
      throw new BpfError({
        code: "CLOSED",
        message: "global variables: the mapping is closed. Map it again before use.",
      });
    }
  }
}
