// SPDX-License-Identifier: Apache-2.0
import { BpfError } from "./errors.ts";
import { guarded } from "./failure.ts";
import type { BpfMap } from "./map.ts";
import { preparePin } from "./mounts.ts";
import type { NativeMapDescription, NativeObject, ProgramDescription } from "./native.ts";

/** A program of an object that is not loaded yet. */
export class UnloadedProgram {
  readonly #object: NativeObject;
  readonly #description: ProgramDescription;

  constructor(object: NativeObject, description: ProgramDescription) {
    this.#object = object;
    this.#description = description;
  }

  get name(): string {
    return this.#description.name;
  }

  get section(): string {
    return this.#description.section;
  }

  get description(): ProgramDescription {
    return this.#description;
  }

  /** A program that is not loaded costs nothing and need not suit this kernel. */
  setAutoload(autoload: boolean): void {
    const { name } = this.#description;
    guarded({ code: "ARGUMENT", operation: `set autoload of "${name}"`, program: name }, () =>
      this.#object.setAutoload(name, autoload),
    );
  }

  /**
   * Another type or attach type than the section says (`BPF_PROG_TYPE_*`, `BPF_*` of `linux/bpf.h`);
   * what is not given stays.
   */
  setType(types: { readonly type?: number; readonly attachType?: number }): void {
    const { name } = this.#description;
    guarded({ code: "ARGUMENT", operation: `set type of "${name}"`, program: name }, () =>
      this.#object.setProgramType(name, types.type ?? -1, types.attachType ?? -1),
    );
  }

  /**
   * What a `fentry`, `fexit`, `tp_btf`, `lsm` or `freplace` program attaches to, in place of what
   * its section names. With `programFd` it is a function of that loaded BPF program.
   */
  setAttachTarget(name: string, options: { readonly programFd?: number } = {}): void {
    const program = this.name;
    guarded({ code: "ARGUMENT", operation: `attach "${program}" to ${name}`, program }, () =>
      this.#object.setAttachTarget(program, options.programFd ?? 0, name),
    );
  }
}

/** A map of an object that is not loaded yet. */
export class UnloadedMap {
  readonly #object: NativeObject;
  readonly #description: NativeMapDescription;

  constructor(object: NativeObject, description: NativeMapDescription) {
    this.#object = object;
    this.#description = description;
  }

  get name(): string {
    return this.#description.name;
  }

  get description(): NativeMapDescription {
    return this.#description;
  }

  /** For a ring buffer: bytes, a power of two of at least a page. */
  setMaxEntries(maxEntries: number): void {
    if (!Number.isInteger(maxEntries) || maxEntries < 0 || maxEntries > 0xffff_ffff) {
      throw new BpfError({
        code: "ARGUMENT",
        message: `map "${this.name}": maxEntries ${maxEntries} is not an unsigned 32 bit integer.`,
      });
    }
    guarded({ code: "ARGUMENT", operation: `set max_entries of map "${this.name}"` }, () =>
      this.#object.setEntriesMax(this.name, maxEntries),
    );
  }

  /**
   * Where the map is pinned at load, or taken from when something of its shape is pinned there
   * already; undefined for not at all. bpffs is mounted when it is missing.
   */
  setPinPath(path: string | undefined): void {
    if (path !== undefined) {
      preparePin(path);
    }
    guarded({ code: "MAP", operation: `set pin path of map "${this.name}"` }, () =>
      this.#object.setPinPath(this.name, path),
    );
  }

  /** Sizes in bytes and `BPF_F_*` flags in place of the declared ones; what is not given stays. */
  setShape(shape: {
    readonly keySize?: number;
    readonly valueSize?: number;
    readonly flags?: number;
  }): void {
    const { keySize = -1, valueSize = -1, flags = -1 } = shape;
    guarded({ code: "MAP", operation: `set shape of map "${this.name}"` }, () =>
      this.#object.setMapShape(this.name, keySize, valueSize, flags),
    );
  }

  /** The shape of the maps that this map of maps takes. */
  setInnerMap(inner: BpfMap): void {
    guarded({ code: "MAP", operation: `set inner map of map "${this.name}"` }, () =>
      this.#object.setInnerMap(this.name, inner.nativeHandle),
    );
  }

  /** A map that is not created costs nothing; a program that uses it must be switched off too. */
  setAutocreate(autocreate: boolean): void {
    guarded({ code: "MAP", operation: `set autocreate of map "${this.name}"` }, () =>
      this.#object.setAutocreate(this.name, autocreate),
    );
  }

  /** Uses a loaded map in place of this one. Its type and sizes must be the same; its maxEntries hold. */
  reuse(map: BpfMap): void {
    const { type, keyBytes, valueBytes } = this.#description;
    // libbpf would take the other map's shape for granted, and the program would read past it.
    if (map.type !== type || map.keySize !== keyBytes || map.valueSize !== valueBytes) {
      throw new BpfError({
        code: "ARGUMENT",
        message:
          `reuse map "${map.name}" (type ${map.type}, key ${map.keySize}, value ${map.valueSize} ` +
          `bytes) as "${this.name}": that is of type ${type}, key ${keyBytes}, value ${valueBytes}.`,
      });
    }
    guarded({ code: "MAP", operation: `reuse map "${map.name}" as "${this.name}"` }, () =>
      this.#object.reuse(this.name, map.nativeHandle),
    );
  }
}
