// SPDX-License-Identifier: Apache-2.0
import { type ElfFile, GoFunctionTable } from "libbpf-ts";
import { TLS_CALL_BEGINS, TLS_CALL_READS, TLS_CALL_WRITES } from "../../../bpf/generated/wire.ts";
import type { TlsLibrary, TlsProbe } from "./library.ts";

const MACHINE_X86_64 = 62;
const MACHINE_AARCH64 = 183;
/** Before Go 1.18 (its tables' number) arguments are on the stack. */
const MAGIC_1_18 = 0xfffffff0;
const MAGIC_1_20 = 0xfffffff1;
const TABLES = [".gopclntab", ".data.rel.ro.gopclntab"];
/** push rbp; mov rbp, rsp */
const PROLOGUE: Buffer = Buffer.from([0x55, 0x48, 0x89, 0xe5]);
/** The check of the stack comes first. */
const PROLOGUE_MAX = 64;
const METHODS: ReadonlyMap<string, number> = new Map([
  ["crypto/tls.(*Conn).Read", TLS_CALL_READS],
  ["crypto/tls.(*Conn).Write", TLS_CALL_WRITES],
]);
const MAKERS: ReadonlySet<string> = new Set([
  "crypto/tls.(*Conn).clientHandshake",
  "crypto/tls.(*Conn).serverHandshake",
]);

/** `crypto/tls` in a Go program, stripped or not; undefined when it is none, or does without. */
export function findGoLibrary(file: ElfFile): TlsLibrary | undefined {
  const section = TABLES.map((name) => file.section(name)).find((found) => found !== undefined);
  if (section === undefined) return undefined;
  const magic = Buffer.from(file.readSection(section).subarray(0, 4)).readUInt32LE(0);
  if (magic !== MAGIC_1_18 && magic !== MAGIC_1_20) return undefined;
  const probes: TlsProbe[] = [];
  for (const { name, address, bytes } of GoFunctionTable.read(file)?.functions() ?? []) {
    const call = METHODS.get(name);
    const offset = file.fileOffset(address);
    if (offset === undefined) continue;
    if (call === undefined && !MAKERS.has(name)) continue;
    const code = codeOf(file, offset, bytes);
    const returns = returnsOf(file.machine, code);
    if (call === undefined) {
      const begins = returns.length === 0 ? 0 : TLS_CALL_BEGINS;
      for (const at of returns) {
        probes.push({ program: "tls_go_returned", offset: offset + at, call: begins });
      }
      probes.push({ program: "tls_go_made", offset, call: begins });
      continue;
    }
    if (returns.length === 0) return undefined;
    for (const at of returns)
      probes.push({ program: "tls_go_returned", offset: offset + at, call });
    const entry = file.machine === MACHINE_X86_64 ? entryOnX86(code) : 0;
    probes.push({ program: "tls_go_called", offset: offset + entry, call });
  }
  return probes.some(({ program }) => program === "tls_go_called")
    ? { kind: "go", probes }
    : undefined;
}

function codeOf(file: ElfFile, offset: number, bytes: number): Buffer {
  const text = file.section(".text");
  if (text === undefined || offset < text.offset) return Buffer.alloc(0);
  const start = offset - text.offset;
  return Buffer.from(file.readSection(text).subarray(start, start + bytes));
}

/**
 * A function's return instructions. A return probe of the kernel would change the stack, which Go
 * moves.
 */
function returnsOf(machine: number, code: Buffer): readonly number[] {
  if (machine === MACHINE_X86_64) return returnsOnX86(code);
  return machine === MACHINE_AARCH64 ? returnsOnArm(code) : [];
}

/**
 * Behind the check of the stack, where registers are as at the start: the push there the kernel
 * emulates, the compare at the start it would have to execute elsewhere.
 */
export function entryOnX86(code: Buffer): number {
  const push = code.indexOf(PROLOGUE);
  if (push < 0 || push >= PROLOGUE_MAX) return 0;
  // jbe to the call that makes the stack grow, near or short
  const isNear = code[push - 6] === 0x0f && code[push - 5] === 0x86;
  return isNear || code[push - 2] === 0x76 ? push : 0;
}

/**
 * Instructions have any length, so a byte that looks like `ret` may be part of another: only whole
 * epilogues count, with the frame's size as in the prologue. Since Go 1.21 `push rbp; mov rbp, rsp;
 * sub rsp, N` … `add rsp, N; pop rbp; ret`; before that `sub rsp, N; mov [rsp+N-8], rbp` …
 * `mov rbp, [rsp+N-8]; add rsp, N; ret`.
 */
export function returnsOnX86(code: Buffer): readonly number[] {
  const prologue = code.indexOf(PROLOGUE);
  const isNew = prologue >= 0 && prologue < PROLOGUE_MAX;
  const sub = isNew ? prologue + 4 : firstSub(code);
  const size = sub < 0 ? undefined : frameSize(code, sub);
  if (size === undefined) return [];
  if (isNew) return endsOf(code, [...size.add, 0x5d, 0xc3]);
  const slot = size.bytes - 8;
  const restores =
    slot < 128 ? [0x48, 0x8b, 0x6c, 0x24, slot] : [0x48, 0x8b, 0xac, 0x24, ...littleEndian(slot)];
  return endsOf(code, [...restores, ...size.add, 0xc3]);
}

function firstSub(code: Buffer): number {
  const short = code.indexOf(Buffer.from([0x48, 0x83, 0xec]));
  const long = code.indexOf(Buffer.from([0x48, 0x81, 0xec]));
  const found = [short, long].filter((at) => at >= 0 && at < PROLOGUE_MAX);
  return found.length === 0 ? -1 : Math.min(...found);
}

/** Of `sub rsp, N` at `at`: N, and the bytes of the `add rsp, N` that undoes it. */
function frameSize(
  code: Buffer,
  at: number,
): { readonly bytes: number; readonly add: readonly number[] } | undefined {
  if (at + 7 > code.length || code[at] !== 0x48) return undefined;
  const [operation = 0, register = 0] = [code[at + 1], code[at + 2]];
  // 128 does not fit into a signed byte, its negative does.
  if (operation === 0x83 && register === 0xc4 && code[at + 3] === 0x80) {
    return { bytes: 128, add: [0x48, 0x83, 0xec, 0x80] };
  }
  if (register !== 0xec) return undefined;
  if (operation === 0x83) {
    const bytes = code[at + 3] ?? 0;
    return bytes < 128 ? { bytes, add: [0x48, 0x83, 0xc4, bytes] } : undefined;
  }
  if (operation !== 0x81) return undefined;
  const bytes = code.readUInt32LE(at + 3);
  return { bytes, add: [0x48, 0x81, 0xc4, ...littleEndian(bytes)] };
}

function littleEndian(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** Where the last of these bytes is, wherever they are. */
function endsOf(code: Buffer, bytes: readonly number[]): readonly number[] {
  const wanted = Buffer.from(bytes);
  const found: number[] = [];
  for (let at = code.indexOf(wanted); at >= 0; at = code.indexOf(wanted, at + 1)) {
    found.push(at + wanted.length - 1);
  }
  return found;
}

/** Instructions are words: `ret` is one of its own. */
function returnsOnArm(code: Buffer): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at + 4 <= code.length; at += 4) {
    if (code.readUInt32LE(at) === 0xd65f03c0) found.push(at);
  }
  return found;
}
