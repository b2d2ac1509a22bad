// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { basename, join } from "node:path";

import { BpfError, lastLines } from "./errors.ts";
import { guarded, toBpfError } from "./failure.ts";
import { InitialGlobals } from "./globals.ts";
import { LoadedObject } from "./loaded-object.ts";
import type { BpfMap } from "./map.ts";
import { preparePin } from "./mounts.ts";
import {
  type NativeMapDescription,
  type NativeObject,
  type NativeOpenOptions,
  native,
  type ProgramDescription,
  type VariableDescription,
} from "./native.ts";
import { unknownName } from "./nearest.ts";

export interface OpenOptions {
  /** Prefix of the names of `.rodata`, `.data` and `.bss` maps; the file's name if not given. */
  readonly name?: string;
  /** Kernel BTF from this file instead of the running kernel's. */
  readonly btfPath?: string;
  /**
   * A folder of BTF files for kernels without their own, named by release: `6.1.0-18-amd64.btf`.
   * Used only where `/sys/kernel/btf/vmlinux` is missing and `btfPath` is not given.
   */
  readonly btfFolder?: string;
  /** Lines of `CONFIG_X=y` that override the kernel's own configuration for `extern __kconfig`. */
  readonly kconfig?: string;
  /** Where maps with `pinning` by name lie; `/sys/fs/bpf` if not given. */
  readonly pinRootPath?: string;
}

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

const VERIFIER_TAIL_LINES = 8;
const FAILED_PROGRAM = /prog '([^']+)': (?:BPF program load failed|failed to)/;
const VERIFIER_LOG = /-- BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG --/;

function loadError(cause: unknown): BpfError {
  const log = native.takeLog();
  const program = FAILED_PROGRAM.exec(log)?.[1];
  const target = program === undefined ? "object" : `program "${program}"`;
  const operation = `load ${target}`;
  const context = { code: "LOAD", operation, log } as const;
  const plain = toBpfError(program === undefined ? context : { ...context, program }, cause);
  const verifierLog = VERIFIER_LOG.exec(log)?.[1]?.trim() ?? "";
  if (verifierLog === "" || plain.errno === undefined || plain.code === "NOT_SUPPORTED") {
    return plain;
  }
  const tail = lastLines(verifierLog, VERIFIER_TAIL_LINES).join("\n  ");
  return new BpfError({
    code: "VERIFIER",
    message:
      `${operation}: ${plain.errno}, refused by the verifier. Change the program where its last ` +
      `lines point; the whole log is in this error's \`log\`.\n  ${tail}`,
    errno: Number(errnoOf(cause)),
    program,
    log,
    cause,
  });
}

function errnoOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "5";
}

/** An object file that is open but not loaded: what it holds, and what may still be changed. */
export class BpfObject {
  readonly #native: NativeObject;
  readonly #variables: readonly VariableDescription[];
  readonly #maps: readonly NativeMapDescription[];
  #isOpen = true;
  readonly programs: readonly UnloadedProgram[];
  readonly rodata: InitialGlobals;
  readonly data: InitialGlobals;
  readonly bss: InitialGlobals;

  /** For this package; use {@link openObject}. */
  constructor(handle: NativeObject) {
    this.#native = handle;
    this.#variables = handle.variables();
    this.#maps = handle.maps();
    assertVariablesInside(this.#variables, this.#maps);
    this.programs = handle.programs().map((each) => new UnloadedProgram(handle, each));
    this.rodata = this.#globals(".rodata");
    this.data = this.#globals(".data");
    this.bss = this.#globals(".bss");
  }

  /** The maps that the file declares; sections of global variables are not among them. */
  get maps(): readonly NativeMapDescription[] {
    return this.#maps.filter((each) => each.section === undefined && !each.name.includes("."));
  }

  program(name: string): UnloadedProgram {
    const found = this.programs.find((each) => each.name === name);
    if (found === undefined) {
      throw unknownName(
        "program",
        name,
        this.programs.map((each) => each.name),
      );
    }
    return found;
  }

  map(name: string): UnloadedMap {
    const found = this.#maps.find((each) => each.name === name);
    if (found === undefined) {
      throw unknownName(
        "map",
        name,
        this.maps.map((each) => each.name),
      );
    }
    return new UnloadedMap(this.#native, found);
  }

  /**
   * Creates the maps and loads the programs that are not switched off. This object is used up by
   * it, whether it succeeds or not.
   *
   * @throws BpfError `VERIFIER` with the program and its log, `NOT_SUPPORTED` when this kernel
   *   lacks something, `LOAD` for any other refusal, `CLOSED` on a second call.
   */
  load(): LoadedObject {
    if (!this.#isOpen) {
      throw new BpfError({
        code: "CLOSED",
        message: "load object: it is closed or was loaded already. Open the file again.",
      });
    }
    this.#isOpen = false;
    try {
      this.#native.load();
    } catch (cause) {
      const error = loadError(cause);
      this.#native.close();
      throw error;
    }
    return new LoadedObject(this.#native, { variables: this.#variables, maps: this.#maps });
  }

  /** Frees an object that will not be loaded. A second call, or one after load, does nothing. */
  close(): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#native.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #globals(prefix: string): InitialGlobals {
    const isIn = (section: string): boolean =>
      section === prefix || section.startsWith(`${prefix}.`);
    const sizes = new Map(this.#maps.map((map) => [map.name, map.valueBytes]));
    return new InitialGlobals(
      this.#native,
      this.#variables.filter((each) => isIn(each.section)),
      sizes,
    );
  }
}

/** BTF of a damaged file can place a variable outside of its section. */
function assertVariablesInside(
  variables: readonly VariableDescription[],
  maps: readonly NativeMapDescription[],
): void {
  const sizes = new Map(maps.map((map) => [map.name, map.valueBytes]));
  for (const { name, map, section, offset, bytes } of variables) {
    const size = sizes.get(map) ?? 0;
    if (offset + bytes > size) {
      throw new BpfError({
        code: "OPEN",
        message: `variable "${name}": its BTF places it outside of ${section}. Compile it again.`,
      });
    }
  }
}

function readObjectFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new BpfError({
      code: "OPEN",
      message: `open ${path}: ${reason}. Build the object first, or correct the path.`,
      cause,
    });
  }
}

/**
 * Parses a BPF object file. Nothing is loaded yet and no privilege is needed.
 *
 * @param file Path of an ELF object, or its bytes (not kept).
 * @throws BpfError `OPEN` when it cannot be read or is not a BPF object; `log` says what libbpf
 *   found wrong.
 */
export function openObject(file: string | Uint8Array, options: OpenOptions = {}): BpfObject {
  const bytes = typeof file === "string" ? readObjectFile(file) : file;
  const fallback = typeof file === "string" ? basename(file) : "object";
  const name = options.name ?? fallback;
  const { kconfig, pinRootPath } = options;
  const btfPath = chooseBtf(options);
  const nativeOptions: NativeOpenOptions = {
    name,
    ...(btfPath === undefined ? {} : { btfPath }),
    ...(kconfig === undefined ? {} : { kconfig }),
    ...(pinRootPath === undefined ? {} : { pinRootPath }),
  };
  const handle = openNative(bytes, nativeOptions);
  try {
    return new BpfObject(handle);
  } catch (cause) {
    handle.close();
    throw toBpfError({ code: "OPEN", operation: `open ${name}` }, cause);
  }
}

/** The kernel's own BTF where it has one; else the file for its release. */
export function chooseBtf(
  options: Pick<OpenOptions, "btfPath" | "btfFolder">,
  host: { readonly hasBtf: boolean; readonly release: string } = {
    hasBtf: existsSync("/sys/kernel/btf/vmlinux"),
    release: release(),
  },
): string | undefined {
  if (options.btfPath !== undefined || options.btfFolder === undefined || host.hasBtf) {
    return options.btfPath;
  }
  return join(options.btfFolder, `${host.release}.btf`);
}

function openNative(bytes: Uint8Array, options: NativeOpenOptions): NativeObject {
  const { name } = options;
  try {
    return native.NativeObject.open(bytes, options);
  } catch (cause) {
    const log = native.takeLog();
    const plain = toBpfError({ code: "OPEN", operation: `open ${name}`, log }, cause);
    const said = lastLines(log, 2).join(" ");
    throw new BpfError({
      code: plain.code,
      message: said === "" ? plain.message : `open ${name}: not a usable BPF object. ${said}`,
      errno: Number(errnoOf(cause)),
      log,
      cause,
    });
  }
}
