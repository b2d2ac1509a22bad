// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { codesHeader, codesTypeScript, wireTypeScript } from "./generate.ts";

test("fields get their offsets, nested structs and arrays included", () => {
  const text = wireTypeScript(`
#define KIND 0x10 /* a comment */
struct inner { __u16 a; __u16 b; __u32 c; };
struct outer {
	struct inner inner; /* first */
	__u64 wide;
	__u8 tail[8];
	__u64 last;
};`);
  const lines = text.split("\n").filter((line) => line.startsWith("export"));
  assert.deepEqual(lines, [
    "export const KIND = 0x10;",
    "export const INNER_BYTES = 8;",
    "export const INNER_A = 0;",
    "export const INNER_B = 2;",
    "export const INNER_C = 4;",
    "export const OUTER_BYTES = 32;",
    "export const OUTER_INNER = 0;",
    "export const OUTER_WIDE = 8;",
    "export const OUTER_TAIL = 16;",
    "export const OUTER_TAIL_COUNT = 8;",
    "export const OUTER_LAST = 24;",
  ]);
});

test("padding that nobody wrote is refused", () => {
  assert.throws(() => wireTypeScript("struct gap { __u8 a; __u32 b; };"), /padding before b/);
  assert.throws(() => wireTypeScript("struct end { __u64 a; __u32 b; };"), /padding at its end/);
});

test("a field of a type that is not fixed is refused", () => {
  assert.throws(() => wireTypeScript("struct bad { int a; };"), /cannot read "int a"/);
});

test("a field whose constant is there already is refused", () => {
  assert.throws(() => wireTypeScript("struct a { __u32 bytes; };"), /A_BYTES twice/);
});

test("codes are numbered in their order, the same in C and TypeScript", () => {
  const json = JSON.stringify({
    comment: "",
    drop: [
      { name: "ring_full", description: "no room" },
      { name: "shed", description: "left out" },
    ],
  });
  assert.match(codesHeader(json), /#define DROP_RING_FULL 0 .*\n#define DROP_SHED 1 /);
  assert.match(codesTypeScript(json), /DROP_REASONS = \[\n {2}"ring_full",\n {2}"shed",\n\]/);
});
