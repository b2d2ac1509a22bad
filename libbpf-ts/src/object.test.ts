// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { chooseBtf } from "./object.ts";

test("BTF comes from the kernel, else from the file of its release, and a given path wins", () => {
  const bare = { hasBtf: false, release: "5.4.0-99-generic" };
  const own = { hasBtf: true, release: "6.18.0" };
  assert.equal(chooseBtf({ btfFolder: "/btf" }, own), undefined);
  assert.equal(chooseBtf({ btfFolder: "/btf" }, bare), "/btf/5.4.0-99-generic.btf");
  assert.equal(chooseBtf({ btfFolder: "/btf", btfPath: "/x.btf" }, bare), "/x.btf");
  assert.equal(chooseBtf({}, bare), undefined);
});
