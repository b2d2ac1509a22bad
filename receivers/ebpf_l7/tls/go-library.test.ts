// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { entryOnX86, returnsOnX86 } from "./go-library.ts";

const code = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test("of a frame of 104 bytes each whole epilogue ends a function, and no other c3 does", () => {
  // push rbp; mov rbp, rsp; sub rsp, 0x68; mov eax, 0xc3; add rsp, 0x68; pop rbp; ret; twice
  const epilogue = "4883c468 5d c3";
  const body = `55 4889e5 4883ec68 b8c3000000 ${epilogue} 0f1f00 ${epilogue}`;
  assert.deepEqual(returnsOnX86(code(body)), [18, 27]);
});

test("a frame of 200 bytes has its size in four bytes", () => {
  assert.deepEqual(returnsOnX86(code("55 4889e5 4881ecc8000000 90 4881c4c8000000 5d c3")), [20]);
});

test("a frame of 128 bytes is made by adding -128", () => {
  assert.deepEqual(returnsOnX86(code("55 4889e5 4883c480 90 4883ec80 5d c3")), [14]);
});

test("before Go 1.21 the frame pointer is kept below the return address", () => {
  // sub rsp, 0x18; mov [rsp+0x10], rbp; nop; mov rbp, [rsp+0x10]; add rsp, 0x18; ret
  const body = "4883ec18 48896c2410 90 488b6c2410 4883c418 c3";
  assert.deepEqual(returnsOnX86(code(body)), [19]);
});

test("an epilogue of another size is none, and code without a frame has no known return", () => {
  assert.deepEqual(returnsOnX86(code("55 4889e5 4883ec68 4883c460 5d c3")), []);
  assert.deepEqual(returnsOnX86(code("b801000000 c3")), []);
});

test("a call begins at the push behind the check of the stack, or else at the start", () => {
  // cmp rsp, [r14+16]; jbe near; push rbp; mov rbp, rsp
  assert.equal(entryOnX86(code("493b6610 0f867a030000 55 4889e5")), 10);
  assert.equal(entryOnX86(code("493b6610 7630 55 4889e5")), 6);
  assert.equal(entryOnX86(code("90 55 4889e5")), 0);
  assert.equal(entryOnX86(code("4883ec18 c3")), 0);
});
