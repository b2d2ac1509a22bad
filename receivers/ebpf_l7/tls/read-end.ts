// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "libbpf-ts";
import { codeAt, decode, INSTRUCTION_MAX, isPush } from "./probe-place.ts";
import type { FunctionPlace } from "./shared-body.ts";

const MACHINE_X86_64 = 62;
/** In `struct ssl_method_st` of OpenSSL 1.1 to 3: the functions that read. */
const METHOD_READ = 0x38;
const METHOD_READ_BYTES = 0x68;
const METHOD_BYTES = 0x90;
const RELATIVE = 8;
const RELOCATION_BYTES = 24;
/** Code looked at for a call, and behind it. */
const FUNCTION_MAX = 512;

const REGISTERS = { SP: 4, DI: 7, SI: 6, CX: 1, R8: 8 } as const;
/** Registers that functions keep, as the program counts them (`KEPT_REGISTERS`). */
const KEPT = [3, 5, 12, 13, 14, 15] as const;

/** A place where a read has ended, and where to find what it was. */
export interface ReadEnd {
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** The upper half of the cookie of `tls_read_ended`. */
  readonly registers: number;
}

/**
 * Where OpenSSL's reads end, with the session, the buffer and the count in registers: the jump in
 * `ssl3_read_internal` that looks at the result of `method->ssl_read_bytes`. One breakpoint there, on
 * an instruction that the kernel emulates, costs less than one at each end of `SSL_read`. The
 * function has no symbol: `TLS_method` returns the table that holds it. Undefined where
 * the code is not as expected; then `SSL_read` is probed itself.
 */
export function readEnd(file: ElfFile, tlsMethod: FunctionPlace | undefined): ReadEnd | undefined {
  if (file.machine !== MACHINE_X86_64 || tlsMethod === undefined) return undefined;
  const start = file.virtualAddress(tlsMethod.offset);
  const table = start === undefined ? undefined : addressIn(codeAt(file, tlsMethod.offset, 16));
  if (table === undefined || start === undefined) return undefined;
  const functions = relativesIn(file, start + table, METHOD_BYTES);
  const read = file.fileOffset(functions.get(METHOD_READ) ?? -1);
  if (read === undefined || !functions.has(METHOD_READ_BYTES)) return undefined;
  const jump = stubTarget(codeAt(file, read, 32));
  if (jump === undefined) return undefined;
  const body = read + jump;
  const found = endOnX86(codeAt(file, body, FUNCTION_MAX));
  return found === undefined ? undefined : { ...found, offset: body + found.offset };
}

/** lea rax, [rip+x] is all that the function does: where it points, from its start. */
function addressIn(code: Buffer): number | undefined {
  if (code.length < 16) return undefined;
  const start = code.readUInt32BE(0) === 0xf30f1efa ? 4 : 0;
  const isLea = code.readUIntBE(start, 3) === 0x488d05 && code[start + 7] === 0xc3;
  return isLea ? start + 7 + code.readInt32LE(start + 3) : undefined;
}

/** Pointers that the loader fills in within a table: by their place in it, what they point at. */
function relativesIn(file: ElfFile, address: number, bytes: number): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  const section = file.section(".rela.dyn");
  if (section === undefined) return found;
  const table = Buffer.from(file.readSection(section));
  for (let at = 0; at + RELOCATION_BYTES <= table.length; at += RELOCATION_BYTES) {
    const place = Number(table.readBigUInt64LE(at)) - address;
    if (place < 0 || place >= bytes || table.readUInt32LE(at + 8) !== RELATIVE) continue;
    found.set(place, Number(table.readBigInt64LE(at + 16)));
  }
  return found;
}

/** `ssl3_read` only says that it does not peek: `mov r8, rcx; xor ecx, ecx; jmp`. */
function stubTarget(code: Buffer): number | undefined {
  if (code.length < 16) return undefined;
  const start = code.readUInt32BE(0) === 0xf30f1efa ? 4 : 0;
  if (code.readUIntBE(start, 6) !== 0x4989c831c9e9) return undefined;
  return start + 10 + code.readInt32LE(start + 6);
}

/** Of `ssl3_read_internal(s, buf, len, peek, readbytes)`, from its start. */
export function endOnX86(code: Buffer): ReadEnd | undefined {
  const holds = new Map<number, number>();
  for (let at = 0; at < code.length; ) {
    const part = code.subarray(at, at + INSTRUCTION_MAX);
    if (isMethodCall(part)) return endAfter(code, at + 3, holds);
    const step = stepOf(part);
    if (step === undefined) return undefined;
    const copied = copyOf(part);
    holds.delete(step.changes);
    if (copied !== undefined) holds.set(copied.to, copied.from);
    at += step.bytes;
  }
  return undefined;
}

/** call [reg + 0x68] */
function isMethodCall(code: Buffer): boolean {
  const modifier = code[1] ?? 0;
  return code[0] === 0xff && (modifier & 0xf8) === 0x50 && code[2] === METHOD_READ_BYTES;
}

/** Besides what is decoded: push, calls (which keep these registers), jumps that are not taken. */
function stepOf(code: Buffer): { readonly bytes: number; readonly changes: number } | undefined {
  const [first = 0, second = 0] = code;
  if (isPush(code)) return { bytes: first === 0x41 ? 2 : 1, changes: REGISTERS.SP };
  if (first === 0xe8) return { bytes: 5, changes: REGISTERS.SP };
  if ((first & 0xf0) === 0x70) return { bytes: 2, changes: -1 };
  if (first === 0x0f && (second & 0xf0) === 0x80) return { bytes: 6, changes: -1 };
  return decode(code);
}

/** mov between registers, of 64 bits or of 32: from which to which. */
function copyOf(code: Buffer): { readonly from: number; readonly to: number } | undefined {
  const hasRex = ((code[0] ?? 0) & 0xf0) === 0x40;
  const rex = hasRex ? (code[0] ?? 0) : 0;
  const [opcode, modifier = 0] = hasRex ? [code[1], code[2]] : [code[0], code[1]];
  if (opcode !== 0x89 || modifier < 0xc0) return undefined;
  const from = ((modifier >> 3) & 7) + ((rex & 4) === 0 ? 0 : 8);
  return { from, to: (modifier & 7) + ((rex & 1) === 0 ? 0 : 8) };
}

/** Behind the call its stack is put away, and the result compared with -1. */
function endAfter(
  code: Buffer,
  start: number,
  holds: ReadonlyMap<number, number>,
): ReadEnd | undefined {
  let at = start;
  while (isPop(code, at) || isStackAdd(code, at)) at += isPop(code, at) ? 1 : 4;
  const isCompared = code.length >= at + 4 && code.readUIntBE(at, 3) === 0x83f8ff;
  const next = code[at + 3] ?? 0;
  const isJump = next === 0x74 || next === 0x75 || next === 0x0f;
  if (!isCompared || !isJump) return undefined;
  const { DI, SI, R8, CX } = REGISTERS;
  let registers = 0;
  for (const [index, argument] of [DI, SI, R8, CX].entries()) {
    const kept = KEPT.findIndex((register) => holds.get(register) === argument);
    if (kept < 0) return undefined;
    registers |= kept << (3 * index);
  }
  return { offset: at + 3, registers };
}

/** Of a register that functions do not keep. */
function isPop(code: Buffer, at: number): boolean {
  return [0x58, 0x59, 0x5a, 0x5e, 0x5f].includes(code[at] ?? 0);
}

/** add rsp, x */
function isStackAdd(code: Buffer, at: number): boolean {
  return code[at] === 0x48 && code[at + 1] === 0x83 && code[at + 2] === 0xc4;
}
