// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "libbpf-ts";

const MACHINE_X86_64 = 62;
/** Code looked at in a function: prologues are shorter. */
const PROLOGUE_MAX = 48;
/** No instruction has more bytes. */
export const INSTRUCTION_MAX = 15;
const ENDBR64 = [0xf3, 0x0f, 0x1e, 0xfa];

/** Registers by the numbers in instructions. */
const [CX, DX, SP, SI, DI] = [1, 2, 4, 6, 7] as const;
const ARGUMENTS: readonly number[] = [DI, SI, DX, CX];

/** Bytes of the file's code; fewer where its section ends, none outside of `.text`. */
export function codeAt(file: ElfFile, offset: number, bytes: number): Buffer {
  const text = file.section(".text");
  if (text === undefined || offset < text.offset) return Buffer.alloc(0);
  const left = text.offset + text.bytes - offset;
  const part = { ...text, offset, bytes: Math.max(0, Math.min(bytes, left)) };
  return Buffer.from(file.readSection(part));
}

/**
 * Where to put a breakpoint for the beginning of the function at `offset`, whose first arguments and
 * return address are needed: a file offset. See `placeOnX86`; on other machines the function's start.
 */
export function placeOfCall(
  file: ElfFile,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
  parameters: number,
): number {
  if (file.machine !== MACHINE_X86_64) return offset;
  return offset + placeOnX86(codeAt(file, offset, bytes), parameters);
}

/**
 * The first instruction that the kernel emulates at a breakpoint: push, nop, jump, call
 * (`branch_setup_xol_ops` and `push_setup_xol_ops` in its arch/x86/kernel/uprobes.c). Any other it
 * executes elsewhere and stops after, which costs twenty times as much. Only as far as each call
 * comes by and neither the stack nor the first `parameters` arguments were changed; 0 when there is
 * none, which is right and slow.
 */
export function placeOnX86(code: Buffer, parameters: number): number {
  const kept = new Set([SP, ...ARGUMENTS.slice(0, parameters)]);
  for (let at = 0; at < Math.min(code.length, PROLOGUE_MAX); ) {
    if (isEmulated(code, at)) return at;
    const instruction = decode(code.subarray(at, at + INSTRUCTION_MAX));
    if (instruction === undefined || kept.has(instruction.changes)) return 0;
    at += instruction.bytes;
  }
  return 0;
}

function isEmulated(code: Buffer, at: number): boolean {
  const [first = 0, second = 0] = [code[at], code[at + 1]];
  if (isPush(code.subarray(at))) return true;
  if (first === 0x0f) return second === 0x1f || (second & 0xf0) === 0x80;
  return (first & 0xf0) === 0x70 || [0x90, 0xe8, 0xe9, 0xeb].includes(first);
}

/** push of one of the sixteen registers. */
export function isPush(code: Buffer): boolean {
  const [first = 0, second = 0] = code;
  const opcode = first === 0x41 ? second : first;
  return opcode >= 0x50 && opcode <= 0x57;
}

interface Instruction {
  readonly bytes: number;
  /** The register that it changes; -1 for none, or only memory. */
  readonly changes: number;
}

const NOTHING = -1;
/** Of one byte with a register and an operand: the register is changed, the operand, or nothing. */
const TO_REGISTER: ReadonlySet<number> = new Set([0x03, 0x0b, 0x23, 0x2b, 0x33, 0x63, 0x8b, 0x8d]);
const TO_OPERAND: ReadonlySet<number> = new Set([0x01, 0x09, 0x21, 0x29, 0x31, 0x89]);
const TO_NOTHING: ReadonlySet<number> = new Set([0x38, 0x39, 0x3a, 0x3b, 0x84, 0x85]);
/** With constants of one and of four bytes. */
const WITH_CONSTANT: ReadonlyMap<number, number> = new Map([
  [0x80, 1],
  [0x83, 1],
  [0x81, 4],
  [0xc7, 4],
]);
const COMPARE = 7;
/** Extending moves, of two bytes. */
const EXTENDING: ReadonlySet<number> = new Set([0xb6, 0xb7, 0xbe, 0xbf]);

/** Of what compilers put first in a function; undefined for everything else. */
export function decode(code: Buffer): Instruction | undefined {
  if (ENDBR64.every((byte, index) => code[index] === byte)) return { bytes: 4, changes: NOTHING };
  let at = code[0] === 0x64 ? 1 : 0;
  const rex = ((code[at] ?? 0) & 0xf0) === 0x40 ? (code[at++] ?? 0) : 0;
  const opcode = code[at++] ?? 0;
  const register = (bits: number, extension: number): number =>
    (bits & 7) + ((rex & extension) === 0 ? 0 : 8);
  if (opcode >= 0xb8 && opcode <= 0xbf) {
    return { bytes: at + ((rex & 8) === 0 ? 4 : 8), changes: register(opcode, 1) };
  }
  const isExtending = opcode === 0x0f && EXTENDING.has(code[at] ?? 0);
  if (isExtending) at++;
  const constant = WITH_CONSTANT.get(opcode) ?? 0;
  const toRegister = isExtending || TO_REGISTER.has(opcode);
  const toOperand = TO_OPERAND.has(opcode) || constant > 0;
  if (!toRegister && !toOperand && !TO_NOTHING.has(opcode)) return undefined;
  const modifier = code[at] ?? 0;
  const bytes = at + operandBytes(code, at) + constant;
  if (bytes > code.length) return undefined;
  if (toRegister) return { bytes, changes: register(modifier >> 3, 4) };
  const isCompare = constant > 0 && opcode !== 0xc7 && ((modifier >> 3) & 7) === COMPARE;
  const isOfRegister = toOperand && modifier >= 0xc0 && !isCompare;
  return { bytes, changes: isOfRegister ? register(modifier, 1) : NOTHING };
}

/** The byte that says what the operand is, and what belongs to that. */
function operandBytes(code: Buffer, at: number): number {
  const modifier = code[at] ?? 0;
  const [mode, operand] = [modifier >> 6, modifier & 7];
  if (mode === 3) return 1;
  const hasIndex = operand === 4;
  const base = hasIndex ? (code[at + 1] ?? 0) & 7 : operand;
  const isAbsolute = mode === 0 && base === 5;
  const displacement = mode === 1 ? 1 : mode === 2 || isAbsolute ? 4 : 0;
  return 1 + (hasIndex ? 1 : 0) + displacement;
}
