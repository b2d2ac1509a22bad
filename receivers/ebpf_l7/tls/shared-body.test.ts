// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { calledFirst, calls } from "./shared-body.ts";

const code = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test("the target of the first call counts from the function's start", () => {
  // sub rsp, 8; call -25: 9 bytes, then 25 back
  assert.equal(calledFirst(code("4883ec08 e8e7ffffff")), -16);
  assert.equal(calledFirst(code("f30f1efa 4883ec08 e8e3ffffff")), -16);
});

test("there is none where something else comes first", () => {
  // Arguments are moved before the call.
  assert.equal(calledFirst(code("4989c8 31c9 e8e3ffffff")), undefined);
  assert.equal(calledFirst(code("4883ec18 e8e7ffffff")), undefined);
  assert.equal(calledFirst(code("4883ec08 e8e7")), undefined);
});

test("a call of the body is found anywhere in a function, and no call of something else", () => {
  const plain = code("4883ec18 85d2 7805 e8d3ffffff 90");
  assert.equal(calls(plain, -32), true);
  assert.equal(calls(plain, -31), false);
});
