// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readSync } from "node:fs";
import { ElfFile, FunctionIndex, type FunctionOffset } from "libbpf-ts";
import { RUNTIME_GO } from "../../../bpf/generated/wire.ts";
import type { RuntimePlan, RuntimeProbe, RuntimeRefusal } from "./plan.ts";

/** `.go.buildinfo` (cmd/go: debug/buildinfo): magic, pointer size, flags; the version at 32. */
const BUILD_INFO_FLAGS = 15;
const BUILD_INFO_INLINE = 0x02;
const BUILD_INFO_VERSION = 32;
const MACHINE_X86_64 = 62;
const MACHINE_AARCH64 = 183;
/** conn in net/http.persistConn: behind `alt`, `t` and `cacheKey`; the same in 1.18 to 1.26. */
const PERSIST_CONN_CONN = 80;

interface Layout {
  /** The first minor version of Go 1 that has it. */
  readonly since: number;
  readonly goid: number;
  /** In runtime.g; 0 before Go 1.21. */
  readonly parentGoid: number;
  /** curg in runtime.m. */
  readonly current: number;
}

/** By the sources of runtime/runtime2.go, 64 bit. */
const LAYOUTS: readonly Layout[] = [
  { since: 26, goid: 152, parentGoid: 280, current: 184 },
  { since: 25, goid: 152, parentGoid: 272, current: 184 },
  { since: 23, goid: 160, parentGoid: 280, current: 192 },
  { since: 21, goid: 152, parentGoid: 272, current: 192 },
  { since: 18, goid: 152, parentGoid: 0, current: 192 },
];
/** Of a function that is looked into. */
const FUNCTION_BYTES_MAX = 65_536;
/** Newer ones may have other layouts. */
const MINOR_MAX = 26;

/**
 * How to follow a Go program; undefined when the file is none. Without `watchesStarts` only where
 * a goroutine itself names the one that started it.
 */
export function planGo(
  path: string,
  watchesStarts: boolean = true,
): RuntimePlan | RuntimeRefusal | undefined {
  using file = openElf(path);
  const version = file === undefined ? undefined : goVersion(file);
  if (file === undefined || version === undefined) return undefined;
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  const layout = LAYOUTS.find(({ since }) => minor >= since);
  if (layout === undefined || minor > MINOR_MAX) {
    return { refused: `${version}: its layouts are not known, Go 1.18 to 1.${MINOR_MAX} are` };
  }
  using index = FunctionIndex.open(path);
  const probes: RuntimeProbe[] = [];
  // Not there in a program without an HTTP client.
  const roundTrip = find(index, "net/http.(*persistConn).roundTrip");
  if (roundTrip !== undefined) {
    probes.push({ program: "go_round_trip", offset: cheapStart(file, roundTrip) });
  }
  if (watchesStarts || layout.parentGoid === 0) {
    const created = find(index, "runtime.newproc1");
    const end = created === undefined ? undefined : returnOf(file, created);
    if (end === undefined) {
      return { refused: `${version}: the end of runtime.newproc1 is not found` };
    }
    probes.push({ program: "go_created", offset: end });
  }
  const { goid, parentGoid, current } = layout;
  const connection = PERSIST_CONN_CONN;
  return { kind: RUNTIME_GO, version, path, probes, goid, parentGoid, current, connection };
}

function openElf(path: string): (ElfFile & Disposable) | undefined {
  try {
    const file = ElfFile.open(path);
    return Object.assign(file, { [Symbol.dispose]: () => file.close() });
  } catch {
    return undefined;
  }
}

/** `go1.26.1`; undefined when the file is no Go program of 1.18 or later. */
function goVersion(file: ElfFile): string | undefined {
  const section = file.section(".go.buildinfo");
  if (section === undefined) return undefined;
  const bytes = file.readSection(section);
  if (((bytes[BUILD_INFO_FLAGS] ?? 0) & BUILD_INFO_INLINE) === 0) return undefined;
  const length = bytes[BUILD_INFO_VERSION] ?? 0;
  const start = BUILD_INFO_VERSION + 1;
  return Buffer.from(bytes.subarray(start, start + length)).toString("latin1");
}

function find(index: FunctionIndex, name: string): FunctionOffset | undefined {
  try {
    return index.find(name)[0];
  } catch {
    return undefined;
  }
}

function codeOf(file: ElfFile, { offset, bytes }: FunctionOffset): Buffer | undefined {
  const code = Buffer.alloc(Math.min(bytes, FUNCTION_BYTES_MAX));
  const descriptor = openSync(file.path, "r");
  try {
    return readSync(descriptor, code, 0, code.length, offset) === code.length ? code : undefined;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * A place near the function's start where its arguments are still in their registers: its `push
 * rbp`, which the kernel emulates with one trap, while it steps over other instructions with two.
 */
function cheapStart(file: ElfFile, place: FunctionOffset): number {
  const code = file.machine === MACHINE_X86_64 ? codeOf(file, place) : undefined;
  return place.offset + (code === undefined ? 0 : stackCheckEnd(code));
}

/** Bytes of `lea r12, [rsp-N]` or none, `cmp r12|rsp, [r14+16]; jbe` before `push rbp`; else 0. */
export function stackCheckEnd(code: Buffer): number {
  const lea = code.subarray(0, 4).equals(Buffer.from([0x4c, 0x8d, 0xa4, 0x24]))
    ? 8
    : code.subarray(0, 4).equals(Buffer.from([0x4c, 0x8d, 0x64, 0x24]))
      ? 5
      : 0;
  const compare = Buffer.from([lea === 0 ? 0x49 : 0x4d, 0x3b, 0x66, 0x10]);
  if (!code.subarray(lea, lea + 4).equals(compare)) return 0;
  const jump = lea + 4;
  const end =
    jump + (code[jump] === 0x76 ? 2 : code[jump] === 0x0f && code[jump + 1] === 0x86 ? 6 : 0);
  return end > jump && code[end] === 0x55 ? end : 0;
}

/**
 * File offset of the function's one return instruction. A return probe of the kernel would change
 * the stack, which Go moves; so the instruction is found, and not guessed: by its whole epilogue,
 * with the frame's size as in the prologue, and only if there is exactly one.
 */
function returnOf(file: ElfFile, place: FunctionOffset): number | undefined {
  const { offset } = place;
  const code = codeOf(file, place);
  if (code === undefined) return undefined;
  const at =
    file.machine === MACHINE_X86_64
      ? returnOnX86(code)
      : file.machine === MACHINE_AARCH64
        ? returnOnArm(code)
        : undefined;
  return at === undefined ? undefined : offset + at;
}

/**
 * Since Go 1.21 `push rbp; mov rbp, rsp; sub rsp, N` … `add rsp, N; pop rbp; ret`; before that
 * `sub rsp, N; mov [rsp+N-8], rbp` … `mov rbp, [rsp+N-8]; add rsp, N; ret`.
 */
export function returnOnX86(code: Buffer): number | undefined {
  const prologue = code.indexOf(Buffer.from([0x55, 0x48, 0x89, 0xe5]));
  const sub = prologue < 0 ? code.indexOf(Buffer.from([0x48, 0x83, 0xec])) : prologue + 4;
  const isShort = code[sub + 1] === 0x83;
  const isSub = code[sub] === 0x48 && (isShort || code[sub + 1] === 0x81) && code[sub + 2] === 0xec;
  if (sub < 0 || !isSub) return undefined;
  const size = code.subarray(sub + 3, sub + (isShort ? 4 : 7));
  const add = [0x48, isShort ? 0x83 : 0x81, 0xc4, ...size];
  if (prologue >= 0) return onlyEndOf(code, [...add, 0x5d, 0xc3]);
  const slot = (size[0] ?? 0) - 8;
  const saves = Buffer.from([0x48, 0x89, 0x6c, 0x24, slot]);
  if (!isShort || code.indexOf(saves) !== sub + 4) return undefined;
  return onlyEndOf(code, [0x48, 0x8b, 0x6c, 0x24, slot, ...add, 0xc3]);
}

/** Instructions are words: `ret` is one of its own. */
function returnOnArm(code: Buffer): number | undefined {
  let found: number | undefined;
  for (let at = 0; at + 4 <= code.length; at += 4) {
    if (code.readUInt32LE(at) !== 0xd65f03c0) continue;
    if (found !== undefined) return undefined;
    found = at;
  }
  return found;
}

/** Where the last of these bytes is, if they are there exactly once. */
function onlyEndOf(code: Buffer, bytes: readonly number[]): number | undefined {
  const wanted = Buffer.from(bytes);
  const first = code.indexOf(wanted);
  if (first < 0 || code.indexOf(wanted, first + 1) >= 0) return undefined;
  return first + wanted.length - 1;
}
