// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyOnX86 } from "./shared-body.ts";

const BASE = 0x1000;

/** The body at 0, the extended function at 16, the plain one at 32. */
function program(body: string, extended: string, plain: string): Buffer {
  const code = Buffer.alloc(64, 0x90);
  for (const [at, text] of [body, extended, plain].entries()) {
    Buffer.from(text.replaceAll(" ", ""), "hex").copy(code, 16 * at);
  }
  return code;
}

const PLACES = {
  base: BASE,
  extended: { offset: BASE + 16, bytes: 16 },
  plain: { offset: BASE + 32, bytes: 16 },
};
// call: from 16 + 4 + 5 and from 32 + 4 + 5 back to 0
const EXTENDED = "4883ec08 e8e7ffffff";
const PLAIN = "4883ec18 e8d7ffffff";

test("a body that both functions call and that starts with a push is probed in their place", () => {
  assert.equal(bodyOnX86(program("55", EXTENDED, PLAIN), PLACES), BASE);
  assert.equal(bodyOnX86(program("4154", EXTENDED, PLAIN), PLACES), BASE);
});

test("endbr64 may stand before the extended function's first instruction", () => {
  const extended = "f30f1efa 4883ec08 e8e3ffffff";
  assert.equal(bodyOnX86(program("55", extended, PLAIN), PLACES), BASE);
});

test("there is none where one of them goes another way, or the body starts otherwise", () => {
  assert.equal(bodyOnX86(program("4883ec18", EXTENDED, PLAIN), PLACES), undefined);
  assert.equal(bodyOnX86(program("f30f1efa55", EXTENDED, PLAIN), PLACES), undefined);
  assert.equal(bodyOnX86(program("55", EXTENDED, "4883ec18 e8d8ffffff"), PLACES), undefined);
  // Arguments are moved before the call.
  assert.equal(bodyOnX86(program("55", "4989c8 31c9 e8e3ffffff", PLAIN), PLACES), undefined);
});
