// SPDX-License-Identifier: Apache-2.0
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { BpfError } from "./errors.ts";

/** The addon's face, as `native/src/*.rs` declares it. Errors it throws go through `toBpfError`. */
export interface NativeModule {
  readonly NativeObject: {
    open(bytes: Uint8Array, options: NativeOpenOptions): NativeObject;
  };
  readonly NativeMap: {
    create(
      type: number,
      name: string,
      keySize: number,
      valueSize: number,
      maxEntries: number,
      flags: number,
    ): NativeMap;
  };
  readonly NativeBtf: { loadKernel(): NativeBtf };
  readonly NativeStats: { enable(): NativeHandle };
  takeLog(): string;
  detachBuffer(buffer: ArrayBuffer): void;
  pageBytes(): number;
  possibleCpus(): number;
  tryTracing(btfId: number): number;
  probeProgramType(type: number): number;
  probeMapType(type: number): number;
  probeHelper(programType: number, helper: number): number;
  panicForTest(): number;
}

export interface NativeOpenOptions {
  readonly name: string;
  readonly kconfig?: string;
  readonly btfPath?: string;
  readonly pinRootPath?: string;
}

export interface NativeHandle {
  close(): void;
}

export interface NativeObject extends NativeHandle {
  programs(): readonly ProgramDescription[];
  maps(): readonly NativeMapDescription[];
  variables(): readonly VariableDescription[];
  readInitial(map: string, out: Uint8Array): void;
  writeInitial(map: string, offset: number, bytes: Uint8Array): void;
  setAutoload(program: string, autoload: boolean): void;
  setEntriesMax(map: string, entriesMax: number): void;
  reuse(map: string, other: NativeMap): void;
  load(): void;
  attach(program: string): NativeLink;
  attachTaskIterator(program: string, pid: number, tid: number): NativeLink;
  map(name: string): NativeMap;
  programInfo(name: string): ProgramInfo;
}

export interface NativeLink {
  readonly fd: number;
  detach(): void;
  readIterator(bytesMax: number): Uint8Array;
}

export interface NativeMap extends NativeHandle {
  readonly fd: number;
  info(): NativeMapInfo;
  get(key: Uint8Array, out: Uint8Array): boolean;
  set(key: Uint8Array, value: Uint8Array, flags: number): void;
  delete(key: Uint8Array): boolean;
  snapshot(): { readonly count: number; readonly keys: Uint8Array; readonly values: Uint8Array };
  mmap(offset: number, bytes: number, writable: boolean): ArrayBuffer;
}

export interface NativeBtf extends NativeHandle {
  find(name: string, kind: number): number;
  members(id: number): readonly string[];
}

/** A program of an object file, before any kernel has seen it. */
export interface ProgramDescription {
  readonly name: string;
  /** The ELF section, which says how it attaches: `tp_btf/sched_switch`. */
  readonly section: string;
  /** `BPF_PROG_TYPE_*` of `linux/bpf.h`. */
  readonly type: number;
  /** `BPF_*` attach type of `linux/bpf.h`. */
  readonly attachType: number;
  readonly autoload: boolean;
  readonly instructionCount: number;
}

export interface NativeMapDescription {
  readonly name: string;
  readonly type: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly entriesMax: number;
  readonly flags: number;
  readonly section?: string;
}

/** A global variable of the BPF program, found through BTF. */
export interface VariableDescription {
  readonly name: string;
  /** The map that holds it, as the kernel names it. */
  readonly map: string;
  /** The ELF section: `.rodata`, `.data`, `.bss` or one of these with a suffix. */
  readonly section: string;
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Size in bytes. */
  readonly bytes: number;
  /** `int`, `bool`, `enum`, `float`, or `bytes` for structs, arrays and pointers. */
  readonly kind: string;
  readonly signed: boolean;
}

export interface NativeMapInfo {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly entriesMax: number;
  readonly flags: number;
  readonly valueCopies: number;
}

/** What the kernel says of a loaded program (`struct bpf_prog_info`). */
export interface ProgramInfo {
  readonly id: number;
  readonly type: number;
  /** Hash of the instructions, 16 hexadecimal digits. */
  readonly tag: string;
  /** Nanoseconds since boot. */
  readonly loadTimeNs: number;
  readonly jitedBytes: number;
  readonly translatedBytes: number;
  /** Instructions that the verifier walked through. */
  readonly verifiedInstructions: number;
  /** Counted only while statistics are enabled (`enableStats`). */
  readonly runTimeNs: number;
  readonly runCount: number;
  readonly recursionMisses: number;
}

/**
 * Relies on: the file beside it was built from this version of `native/src`, whose declarations
 * `NativeModule` repeats.
 */
function unsafeLoadNative(): NativeModule {
  const path = fileURLToPath(new URL("../native/libbpf_ts.node", import.meta.url));
  try {
    return createRequire(import.meta.url)(path) as NativeModule;
  } catch (cause) {
    throw new BpfError({
      code: "ADDON",
      message:
        "libbpf-ts: the native addon cannot be loaded. " +
        "Build it with `npm run build` in the libbpf-ts package (needs Rust, libelf and zlib).",
      cause,
    });
  }
}

export const native: NativeModule = unsafeLoadNative();
