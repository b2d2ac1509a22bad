// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { addressText, readAddressText } from "./nat-entry.ts";

const encoder = new TextEncoder();

/** The address as it is written again, or undefined when it is none. */
function again(text: string): string | undefined {
  const bytes = encoder.encode(text);
  const words = new Int32Array(4);
  return readAddressText(bytes, 0, bytes.length, words, 0) ? addressText(words, 0) : undefined;
}

test("addresses are read and written as RFC 5952 says", () => {
  const examples = [
    ["10.201.9.9", "10.201.9.9"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8::0001", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["fe80::1%eth0", "fe80::1"],
  ] as const;
  for (const [text, expected] of examples) assert.equal(again(text), expected, text);
});

test("names and what only looks like an address are none", () => {
  const others = ["", "orders", "10.0.0", "10.0.0.256", "1.2.3.4.5", "1..2.3", "1:2", ":::", ":1"];
  for (const text of [
    ...others,
    "1::2::3",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "g::",
    "1:2:3:4:5:6:7:",
  ]) {
    assert.equal(again(text), undefined, text);
    assert.equal(isIP(text), 0, text);
  }
});

test("whatever Node takes for an IPv6 address is read, and written so that it means the same", () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      assert.equal(isIP(text), 6);
      const written = again(text);
      assert.ok(written !== undefined, text);
      const same = isIP(written) === 4 ? `[::ffff:${written}]` : `[${written}]`;
      assert.equal(new URL(`http://${same}/`).hostname, new URL(`http://[${text}]/`).hostname);
    }),
  );
});

test("any text is answered, and a name never taken for an address", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."0123456789abcdf:.%g") }), (text) => {
      if (again(text) !== undefined) assert.notEqual(isIP(text.replace(/%.*/, "")), 0, text);
    }),
  );
});
