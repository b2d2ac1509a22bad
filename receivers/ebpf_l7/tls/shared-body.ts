// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "libbpf-ts";

const MACHINE_X86_64 = 62;
const ENDBR64 = [0xf3, 0x0f, 0x1e, 0xfa];
/** sub rsp, 8; call */
const FRAME_AND_CALL = [0x48, 0x83, 0xec, 0x08, 0xe8];
const CALL = 0xe8;
const CALL_BYTES = 5;

export interface FunctionPlace {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Where OpenSSL's `SSL_read` and `SSL_read_ex` (or those that write) both go on, with the arguments of
 * the latter: its file offset, if the first thing that `extended` does is to call it, `plain` calls it
 * too, and it starts with a push. The kernel emulates a push at a breakpoint. Other instructions,
 * such as the `sub` that the two start with, it executes elsewhere and stops after: 1 µs on bare
 * metal, 10 µs in a nested virtual machine.
 */
export function sharedBody(
  file: ElfFile,
  extended: FunctionPlace,
  plain: FunctionPlace,
): number | undefined {
  if (file.machine !== MACHINE_X86_64) return undefined;
  const text = file.section(".text");
  if (text === undefined || text.offset > Math.min(extended.offset, plain.offset)) return undefined;
  return bodyOnX86(Buffer.from(file.readSection(text)), {
    base: text.offset,
    extended,
    plain,
  });
}

/** `base`: the file offset of the code's first byte. */
export function bodyOnX86(
  code: Buffer,
  {
    base,
    extended,
    plain,
  }: {
    readonly base: number;
    readonly extended: FunctionPlace;
    readonly plain: FunctionPlace;
  },
): number | undefined {
  const start = afterEndbr(code, extended.offset - base);
  if (!startsWith(code, start, FRAME_AND_CALL)) return undefined;
  const body = targetOf(code, start + FRAME_AND_CALL.length - 1);
  const first = afterEndbr(code, body);
  // With endbr64 in front the breakpoint would be on that.
  if (first !== body || !isPush(code, body)) return undefined;
  const end = Math.min(plain.offset - base + plain.bytes, code.length) - CALL_BYTES;
  for (let at = plain.offset - base; at <= end; at++) {
    if (code[at] === CALL && targetOf(code, at) === body) return base + body;
  }
  return undefined;
}

function afterEndbr(code: Buffer, at: number): number {
  return startsWith(code, at, ENDBR64) ? at + ENDBR64.length : at;
}

function startsWith(code: Buffer, at: number, bytes: readonly number[]): boolean {
  return at >= 0 && bytes.every((byte, index) => code[at + index] === byte);
}

/** Of a call with a relative target; -1 when it leaves the code. */
function targetOf(code: Buffer, at: number): number {
  if (at + CALL_BYTES > code.length) return -1;
  const target = at + CALL_BYTES + code.readInt32LE(at + 1);
  return target < code.length ? target : -1;
}

/** push of one of the sixteen registers. */
function isPush(code: Buffer, at: number): boolean {
  const first = code[at] ?? 0;
  const opcode = first === 0x41 ? (code[at + 1] ?? 0) : first;
  return at >= 0 && opcode >= 0x50 && opcode <= 0x57;
}
