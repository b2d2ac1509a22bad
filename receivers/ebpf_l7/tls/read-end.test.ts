// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { endOnX86 } from "./read-end.ts";

const code = (...lines: readonly string[]): Buffer =>
  Buffer.from(lines.join("").replaceAll(" ", ""), "hex");

/** Assembled by hand: what compilers make of a function that keeps its five arguments. */
const KEEPS = [
  "4156 4d89c6", // push r14; mov r14, r8
  "4155 4189cd", // push r13; mov r13d, ecx
  "4154 4989d4", // push r12; mov r12, rdx
  "55 4889f5", // push rbp; mov rbp, rsi
  "53 4889fb", // push rbx; mov rbx, rdi
  "4883ec10 e81b000000", // sub rsp, 16; call
  "c70000000000", // mov DWORD PTR [rax], 0
  "8bbbac010000 85ff 753e", // mov edi, [rbx+0x1ac]; test edi, edi; jne
];
const PASSES = [
  "488b4308 4883ec08", // mov rax, [rbx+8]; sub rsp, 8
  "4889e9 4589e9 4d89e0 31d2 4889df 4156", // mov rcx, rbp; … push r14
];
const CALL = "ff5068"; // call [rax+0x68]
const LOOKS = "59 5e 83f8ff 741e"; // pop rcx; pop rsi; cmp eax, -1; je

test("the jump behind the call, and the registers with session, buffer, count and peeking", () => {
  const whole = code(...KEEPS, ...PASSES, CALL, LOOKS);
  // rbx is the first of those that are kept, rbp the second, r14 the fifth, r13 the fourth.
  const registers = 0 | (1 << 3) | (4 << 6) | (3 << 9);
  assert.deepEqual(endOnX86(whole), { offset: whole.length - 2, registers });
});

test("none where an argument is not kept, or its register is used for something else", () => {
  const without = KEEPS.map((line) => line.replace("4155 4189cd", "4155"));
  assert.equal(endOnX86(code(...without, ...PASSES, CALL, LOOKS)), undefined);
  const reused = [...PASSES, "488b5d08"]; // mov rbx, [rbp+8]
  assert.equal(endOnX86(code(...KEEPS, ...reused, CALL, LOOKS)), undefined);
});

test("none where another function is called, or the result is not compared", () => {
  assert.equal(endOnX86(code(...KEEPS, ...PASSES, "ff5070", LOOKS)), undefined);
  assert.equal(endOnX86(code(...KEEPS, ...PASSES, CALL, "59 5e 85c0 741e")), undefined);
});

test("none in code that ends early, wherever it is cut", () => {
  const whole = code(...KEEPS, ...PASSES, CALL, LOOKS);
  for (let bytes = 0; bytes < whole.length - 2; bytes++) {
    assert.equal(endOnX86(whole.subarray(0, bytes)), undefined);
  }
});
