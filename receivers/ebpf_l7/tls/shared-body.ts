// SPDX-License-Identifier: Apache-2.0
import type { ElfFile } from "libbpf-ts";
import { codeAt, isPush } from "./probe-place.ts";

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
 * the latter: its file offset, if the first thing that `extended` does is to call it, and `plain`
 * calls it too. It starts with a push, as they seldom do: see `placeOnX86`.
 */
export function sharedBody(
  file: ElfFile,
  extended: FunctionPlace,
  plain: FunctionPlace,
): number | undefined {
  if (file.machine !== MACHINE_X86_64) return undefined;
  const code = ({ offset, bytes }: FunctionPlace): Buffer => codeAt(file, offset, bytes);
  const body = calledFirst(code(extended));
  if (body === undefined) return undefined;
  const offset = extended.offset + body;
  if (!isPush(codeAt(file, offset, 2))) return undefined;
  return calls(code(plain), offset - plain.offset) ? offset : undefined;
}

/** The target of a call that is the first thing in a function, from the function's start. */
export function calledFirst(code: Buffer): number | undefined {
  const start = startsWith(code, 0, ENDBR64) ? ENDBR64.length : 0;
  if (!startsWith(code, start, FRAME_AND_CALL)) return undefined;
  return targetOf(code, start + FRAME_AND_CALL.length - 1);
}

/** Does a function call what is so many bytes from its start? */
export function calls(code: Buffer, target: number): boolean {
  for (let at = code.indexOf(CALL); at >= 0; at = code.indexOf(CALL, at + 1)) {
    if (targetOf(code, at) === target) return true;
  }
  return false;
}

function startsWith(code: Buffer, at: number, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => code[at + index] === byte);
}

/** Of a call with a relative target, from the start of the code. */
function targetOf(code: Buffer, at: number): number | undefined {
  return at + CALL_BYTES > code.length ? undefined : at + CALL_BYTES + code.readInt32LE(at + 1);
}
