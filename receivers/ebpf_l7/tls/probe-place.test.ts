// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOnX86 } from "./probe-place.ts";

const code = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** As `objdump` prints them; the bytes are those of binutils 2.40. */
const FUNCTIONS: readonly (readonly [string, string, number, number])[] = [
  ["push rbp", "55 4889e5", 4, 0],
  ["push r15", "4157 4156", 4, 0],
  ["endbr64; push rbp", "f30f1efa 55", 4, 4],
  ["nop of five bytes", "0f1f440000 55", 4, 0],
  ["test rdi,rdi; je; push rbp", "4885ff 7414 55", 4, 3],
  ["test rdi,rdi; je near; push rbp", "4885ff 0f84b8010000 55", 4, 3],
  ["xor r8d,r8d; xor ecx,ecx; jmp", "4531c0 31c9 e9669cffff", 3, 5],
  ["mov rax,QWORD PTR fs:0x28; push rbx", "64488b042528000000 53", 4, 9],
  ["cmp DWORD PTR [rdi+0x84],1; jne", "83bf8400000001 7504", 4, 7],
  ["cmp BYTE PTR [rdi+0x6b8],0; je", "80bfb806000000 7440", 4, 7],
  ["lea rax,[rip+0x10]; call", "488d0510000000 e800000000", 4, 7],
  ["movabs rax,imm64; push rbx", "48b88877665544332211 53", 4, 10],
  ["movzx eax,BYTE PTR [rdi+rax*4]; push rbx", "0fb60487 53", 4, 4],
  ["mov DWORD PTR [rdi+0x28],1; push rbx", "c7472801000000 53", 4, 7],
];

for (const [name, bytes, parameters, place] of FUNCTIONS) {
  test(`${name}: a breakpoint at ${place}`, () => {
    assert.equal(placeOnX86(code(bytes), parameters), place);
  });
}

/** What is behind them is too late. */
const CHANGED: readonly (readonly [string, string])[] = [
  ["the stack: sub rsp,0x18; test edx,edx; js", "4883ec18 85d2 782a"],
  ["an argument: mov rdx,rcx; push rbx", "4889ca 53"],
  ["an argument: xor ecx,ecx; jmp", "31c9 e9669cffff"],
  ["an argument: mov edi,1; push rbx", "bf01000000 53"],
  ["an argument: movsxd rdx,edx; push rbx", "4863d2 53"],
  ["an argument: and esi,7; push rbx", "83e607 53"],
  ["where to go on: jmp [rax+0x10]", "488b07 ff6010 55"],
  ["what is not decoded: movups", "0f1006 55"],
];

for (const [name, bytes] of CHANGED) {
  test(`a breakpoint at the start, before a change of ${name}`, () => {
    assert.equal(placeOnX86(code(bytes), 4), 0);
  });
}

test("code that ends in an instruction has no place but its start", () => {
  assert.equal(placeOnX86(code("488b0425"), 4), 0);
  assert.equal(placeOnX86(code(""), 4), 0);
});
