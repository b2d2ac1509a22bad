// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { factory } from "./factory.ts";

test("an option is refused, since there is none", () => {
  assert.equal(factory.configSchema.safeParse({}).success, true);
  assert.equal(factory.configSchema.safeParse({ endpoint: "x" }).success, false);
});
