// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
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
      extra: number,
      inner: NativeMap | undefined,
    ): NativeMap;
    openPinned(path: string): NativeMap;
    openId(id: number): NativeMap;
  };
  readonly NativeLink: { openPinned(path: string): NativeLink };
  readonly NativePerfBuffer: { open(cpu: number, wakeUpBytes: number): NativePerfBuffer };
  readonly NativeNetlink: {
    open(family: number, groups: number, receiveBytes: number, namespace?: string): NativeNetlink;
  };
  readonly NativeWaiter: { start(fds: number[], callback: () => void): NativeWaiter };
  readonly NativeSymbolizer: {
    create(codeInfo: boolean, debugDirectories?: string[]): NativeSymbolizer;
  };
  readonly NativeBtf: { loadKernel(): NativeBtf };
  readonly NativeStats: { enable(): NativeHandle };
  takeLog(): string;
  detachBuffer(buffer: ArrayBuffer): void;
  pageBytes(): number;
  possibleCpus(): number;
  tryTracing(btfId: number): number;
  tryLoad(type: number, attachType: number, btfId: number, flags: number): number;
  tryLink(name: string): number;
  probeProgramType(type: number): number;
  probeMapType(type: number): number;
  probeHelper(programType: number, helper: number): number;
  panicForTest(): number;
  pidfdOpen(pid: number, isThread: boolean): number;
  interfaceIndex(name: string): number;
  mount(kind: string, path: string): void;
  libbpfVersion(): string;
  demangle(name: string): string;
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

export interface NativeNetlink extends NativeHandle {
  readonly fd: number;
  send(messages: Uint8Array): void;
  receive(into: Uint8Array): number;
}

export interface NativeObject extends NativeHandle {
  programs(): readonly ProgramDescription[];
  maps(): readonly NativeMapDescription[];
  variables(): readonly VariableDescription[];
  readInitial(map: string, out: Uint8Array): void;
  writeInitial(map: string, offset: number, bytes: Uint8Array): void;
  setAutoload(program: string, autoload: boolean): void;
  setEntriesMax(map: string, entriesMax: number): void;
  setProgramType(program: string, type: number, attachType: number): void;
  setAttachTarget(program: string, targetFd: number, target: string): void;
  setPinPath(map: string, path: string | undefined): void;
  setMapShape(map: string, keyBytes: number, valueBytes: number, flags: number): void;
  setInnerMap(map: string, inner: NativeMap): void;
  setAutocreate(map: string, autocreate: boolean): void;
  reuse(map: string, other: NativeMap): void;
  load(): void;
  beginLoad(): Promise<{ readonly errno: number; readonly log: string }>;
  endLoad(isLoaded: boolean): void;
  attach(program: string): NativeLink;
  attachTaskIterator(program: string, pid: number, tid: number): NativeLink;
  attachTracepoint(program: string, category: string, name: string, cookie: bigint): NativeLink;
  attachRawTracepoint(program: string, name: string, cookie: bigint): NativeLink;
  attachTrace(program: string, cookie: bigint): NativeLink;
  attachKprobe(
    program: string,
    target: string,
    offset: number,
    isReturn: boolean,
    cookie: bigint,
  ): NativeLink;
  attachKsyscall(program: string, name: string, isReturn: boolean, cookie: bigint): NativeLink;
  attachKprobeMulti(
    program: string,
    targets: string[],
    cookies: BigUint64Array,
    isReturn: boolean,
    isSession: boolean,
  ): NativeLink;
  attachUprobe(program: string, options: NativeUprobeOptions): NativeLink;
  attachUprobeMulti(
    program: string,
    options: NativeUprobeMultiOptions,
    offsets: BigUint64Array,
    cookies: BigUint64Array,
  ): NativeLink;
  attachUsdt(
    program: string,
    pid: number,
    path: string,
    provider: string,
    name: string,
    cookie: bigint,
  ): NativeLink;
  attachPerfEvent(program: string, options: NativePerfEventOptions): NativeLink;
  attachCgroup(program: string, fd: number, order: string): NativeLink;
  attachTcx(program: string, index: number, order: string): NativeLink;
  attachNetkit(program: string, index: number, order: string): NativeLink;
  attachNetfilter(
    program: string,
    family: number,
    hook: number,
    priority: number,
    flags: number,
  ): NativeLink;
  attachTarget(program: string, target: number, flags: number): NativeLink;
  attachDirect(program: string, target: number): NativeLink;
  attachSocket(program: string, fd: number): NativeLink;
  attachTc(
    program: string,
    index: number,
    isEgress: boolean,
    handle: number,
    priority: number,
  ): NativeLink;
  attachStructOps(map: string): NativeLink;
  attachFreplace(program: string, targetFd: number, target: string): NativeLink;
  attachMapIterator(program: string, map: NativeMap): NativeLink;
  attachCgroupIterator(program: string, fd: number, order: number): NativeLink;
  testRun(
    program: string,
    data: Uint8Array | undefined,
    context: Uint8Array | undefined,
    options: NativeTestRunOptions,
  ): TestRunResult;
  pinProgram(program: string, path: string): void;
  programFd(program: string): number;
  updateLink(program: string, link: NativeLink): void;
  map(name: string): NativeMap;
  programInfo(name: string): ProgramInfo;
}

export interface NativeUprobeOptions {
  readonly path: string;
  readonly pid: number;
  readonly offset: number;
  readonly referenceCounterOffset: number;
  readonly cookie: bigint;
  readonly isReturn: boolean;
}

export interface NativeUprobeMultiOptions {
  readonly path: string;
  readonly pid: number;
  readonly isReturn: boolean;
  readonly isSession: boolean;
}

export interface NativePerfEventOptions {
  readonly type: number;
  readonly config: number;
  readonly period: number;
  readonly isFrequency: boolean;
  readonly pid: number;
  readonly cpu: number;
  readonly cookie: bigint;
}

export interface NativeTestRunOptions {
  readonly dataOutBytes: number;
  readonly contextOutBytes: number;
  readonly repeat: number;
  readonly flags: number;
  readonly cpu: number;
}

/** What a program did with the data and context that it was run on. */
export interface TestRunResult {
  readonly returnValue: number;
  /** Nanoseconds a run, on average. */
  readonly durationNs: number;
  readonly data: Uint8Array;
  readonly context: Uint8Array;
}

export interface NativePerfBuffer extends NativeHandle {
  readonly fd: number;
  mmap(bytes: number): ArrayBuffer;
  enable(): void;
}

export interface NativeSymbol {
  readonly name: string;
  readonly address: number;
  readonly offset: number;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly reason?: string;
  readonly inlined: readonly NativeInlined[];
}

export interface NativeInlined {
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

export interface NativeSymbolizer extends NativeHandle {
  file(path: string, addresses: BigUint64Array, debugSymbols: boolean): readonly NativeSymbol[];
  kernel(addresses: BigUint64Array): readonly NativeSymbol[];
}

/** What the kernel says of a link (`struct bpf_link_info`). */
export interface LinkInfo {
  readonly id: number;
  /** `BPF_LINK_TYPE_*` of `linux/bpf.h`. */
  readonly type: number;
  readonly programId: number;
}

export interface NativeWaiter {
  stop(): void;
}

export interface NativeLink {
  readonly fd: number;
  detach(): void;
  forceDetach(): void;
  info(): LinkInfo;
  pin(path: string): void;
  readIterator(bytesMax: number): Uint8Array;
}

export interface NativeMap extends NativeHandle {
  readonly fd: number;
  info(): NativeMapInfo;
  get(key: Uint8Array, out: Uint8Array): boolean;
  set(key: Uint8Array, value: Uint8Array, flags: number): void;
  delete(key: Uint8Array): boolean;
  snapshot(): NativeSnapshot;
  takeAll(): NativeSnapshot;
  take(key: Uint8Array, out: Uint8Array): boolean;
  setBatch(keys: Uint8Array, values: Uint8Array, flags: number): number;
  deleteBatch(keys: Uint8Array): number;
  pin(path: string): void;
  freeze(): void;
  mmap(offset: number, bytes: number, writable: boolean): ArrayBuffer;
}

export interface NativeSnapshot {
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
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
  /** Types of the object's BTF; 0 when the map declares sizes only. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
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
  /** Its type in the object's BTF. */
  readonly typeId: number;
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

/** `gnu` or `musl`: by which C library Node itself was built. */
function libcKind(): "gnu" | "musl" {
  const report = process.report.getReport();
  const header = "header" in report ? report.header : undefined;
  const isGnu = typeof header === "object" && header !== null && "glibcVersionRuntime" in header;
  return isGnu ? "gnu" : "musl";
}

/**
 * The addon that was built here, else the prebuilt one of this platform's package. Relies on: either
 * was built from this version of `native/src`, whose declarations `NativeModule` repeats.
 */
function unsafeLoadNative(): NativeModule {
  const local = fileURLToPath(new URL("../native/libbpf_ts.node", import.meta.url));
  const load = createRequire(import.meta.url);
  let cause: unknown;
  try {
    if (existsSync(local)) {
      return load(local) as NativeModule;
    }
    return load(`libbpf-ts-linux-${process.arch}-${libcKind()}`) as NativeModule;
  } catch (error) {
    cause = error;
  }
  throw new BpfError({
    code: "ADDON",
    message:
      "libbpf-ts: the native addon cannot be loaded, and there is no prebuilt one for " +
      `${process.platform} ${process.arch}. Build it with \`npx libbpf-ts build\` (needs Rust, ` +
      `libelf and zlib). ${cause instanceof Error ? cause.message.split("\n")[0] : ""}`,
    cause,
  });
}

export const native: NativeModule = unsafeLoadNative();
