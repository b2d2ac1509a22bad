// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { basename, join } from "node:path";

import { adviceFor, BpfError, lastLines } from "./errors.ts";
import { toBpfError } from "./failure.ts";
import { InitialGlobals } from "./globals.ts";
import { LoadedObject } from "./loaded-object.ts";
import {
  type NativeMapDescription,
  type NativeObject,
  type NativeOpenOptions,
  native,
  type VariableDescription,
} from "./native.ts";
import { named } from "./nearest.ts";
import { ObjectTypes } from "./object-types.ts";
import { UnloadedMap, UnloadedProgram } from "./unloaded.ts";

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

const VERIFIER_TAIL_LINES = 8;
const FAILED_PROGRAM = /prog '([^']+)': (?:BPF program load failed|failed to)/;
const FAILED_MAP = /map '([^']+)': failed to create/;
const VERIFIER_LOG = /-- BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG --/;

function loadError(cause: unknown, log: string): BpfError {
  const program = FAILED_PROGRAM.exec(log)?.[1];
  const map = FAILED_MAP.exec(log)?.[1];
  const operation =
    program !== undefined
      ? `load program "${program}"`
      : map !== undefined
        ? `load object, create map "${map}"`
        : "load object";
  const context = { code: "LOAD", operation, log } as const;
  const plain = toBpfError(program === undefined ? context : { ...context, program }, cause);
  const verifierLog = VERIFIER_LOG.exec(log)?.[1]?.trim() ?? "";
  if (verifierLog === "" || plain.errno === undefined || plain.code === "NOT_SUPPORTED") {
    // The first thing that went wrong; what follows is its consequences.
    const said = log.split("\n").find((line) => !line.includes("RLIMIT_MEMLOCK")) ?? "";
    plain.message = said === "" ? plain.message : `${plain.message}\n  ${said}`;
    return plain;
  }
  const instruction = lastInstruction(verifierLog);
  const place = instruction === undefined ? "" : ` at instruction ${instruction}`;
  const tail = lastLines(verifierLog, VERIFIER_TAIL_LINES).join("\n  ");
  return new BpfError({
    code: "VERIFIER",
    message:
      `${operation}: ${plain.errno}, refused by the verifier${place}. Change the program where its last ` +
      `lines point; the whole log is in this error's \`log\`.\n  ${tail}`,
    errno: Number(errnoOf(cause)),
    program,
    instruction,
    log,
    cause,
  });
}

/** The verifier prints each instruction before it looks at it: `12: (61) r0 = …`. */
function lastInstruction(verifierLog: string): number | undefined {
  const all = [...verifierLog.matchAll(/^(\d+): \([0-9a-f]{2}\)/gm)];
  const last = all.at(-1)?.[1];
  return last === undefined ? undefined : Number(last);
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
  /** The types of the object's BTF: those of maps, variables and whatever else was compiled in. */
  readonly types: ObjectTypes;
  readonly programs: readonly UnloadedProgram[];
  readonly rodata: InitialGlobals;
  readonly data: InitialGlobals;
  readonly bss: InitialGlobals;

  /** For this package; use {@link openObject}. */
  constructor(handle: NativeObject, file: Uint8Array) {
    this.#native = handle;
    this.types = new ObjectTypes(file);
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
    return named("program", name, this.programs);
  }

  map(name: string): UnloadedMap {
    return new UnloadedMap(this.#native, named("map", name, this.#maps, this.maps));
  }

  /**
   * Creates the maps and loads the programs that are not switched off. This object is used up by
   * it, whether it succeeds or not.
   *
   * @throws BpfError `VERIFIER` with the program and its log, `NOT_SUPPORTED` when this kernel
   *   lacks something, `LOAD` for any other refusal, `CLOSED` on a second call.
   */
  load(): LoadedObject {
    this.#useUp();
    try {
      this.#native.load();
    } catch (cause) {
      const error = loadError(cause, native.takeLog());
      this.#native.close();
      throw error;
    }
    return this.#loaded();
  }

  /**
   * The same on another thread: the verifier takes hundreds of milliseconds for a large program.
   *
   * @throws BpfError as `load` does, by the promise.
   */
  async loadAsync(): Promise<LoadedObject> {
    this.#useUp();
    const { errno, log } = await this.#native.beginLoad();
    this.#native.endLoad(errno === 0);
    if (errno === 0) return this.#loaded();
    this.#native.close();
    throw loadError(Object.assign(new Error("load"), { code: String(errno) }), log);
  }

  #useUp(): void {
    if (!this.#isOpen) {
      throw new BpfError({
        code: "CLOSED",
        message: "load object: it is closed or was loaded already. Open the file again.",
      });
    }
    this.#isOpen = false;
  }

  #loaded(): LoadedObject {
    const { types } = this;
    return new LoadedObject(this.#native, {
      variables: this.#variables,
      maps: this.#maps,
      types,
    });
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
    return new InitialGlobals(this.#native, {
      variables: this.#variables.filter((each) => isIn(each.section)),
      sectionBytes: sizes,
      types: this.types,
    });
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

/** Node's own errors of system calls: a name, and the number with a minus. */
function systemError(cause: unknown): { readonly code: string; readonly errno?: number } {
  if (!(cause instanceof Error) || !("code" in cause)) {
    return { code: "unreadable" };
  }
  const errno = "errno" in cause && typeof cause.errno === "number" ? -cause.errno : undefined;
  return { code: String(cause.code), ...(errno === undefined ? {} : { errno }) };
}

function readObjectFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code: reason, errno } = systemError(cause);
    const advice =
      reason === "ENOENT" ? "Build the object first, or correct the path." : adviceFor(reason);
    const message = `open ${path}: ${reason}. ${advice}`.trimEnd();
    throw new BpfError({ code: "OPEN", message, errno, cause });
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
    return new BpfObject(handle, bytes);
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
