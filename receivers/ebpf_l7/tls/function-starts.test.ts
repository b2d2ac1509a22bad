// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ElfFile } from "libbpf-ts";
import { FunctionStarts, startsIn } from "./function-starts.ts";

const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

// Linux Standard Base, 10.6: length, 0, version 1, "zR", alignments 1 and -8, register 16, one byte.
const COMMON = "14000000 00000000 01 7a5200 01 78 10 01 1b 0c07089001 0000";
/** Length, distance to the common record, where the function starts from here, its size. */
const FUNCTION = "14000000 1c000000 e0ffffff 10000000 0000000000000000";

test("a function's record says how far from itself the function starts", () => {
  // It stands at 24, and the number eight bytes behind that.
  assert.deepEqual(startsIn(bytes(COMMON + FUNCTION), 0x1000), [0x1000 + 32 - 32]);
});

test("records with addresses that are written otherwise give no starts", () => {
  const absolute = COMMON.replace("01 1b", "01 03");
  assert.deepEqual(startsIn(bytes(absolute + FUNCTION), 0x1000), []);
});

test("records that are cut anywhere give what is whole, and no error", () => {
  const whole = bytes(COMMON + FUNCTION);
  for (let size = 0; size < whole.length; size++) {
    assert.ok(startsIn(whole.subarray(0, size), 0).length <= 1);
  }
});

test("the functions of a library start where its symbols say", () => {
  const path = "/usr/lib/x86_64-linux-gnu/libssl.so.3";
  const file = ElfFile.open(path);
  try {
    const starts = FunctionStarts.read(file);
    for (const name of ["SSL_read", "SSL_write", "SSL_do_handshake"]) {
      const [symbol] = file.functionsNamed(name);
      assert.ok(symbol);
      assert.equal(starts?.of(symbol.address), symbol.address);
      assert.equal(starts?.of(symbol.address + symbol.bytes - 1), symbol.address);
    }
  } finally {
    file.close();
  }
});
