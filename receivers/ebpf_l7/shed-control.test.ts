// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShedControl } from "./shed-control.ts";

test("connections are left out while the ring overflows, and a sample always stays", () => {
  const control = new ShedControl();
  let shed = 0;
  for (let second = 1; second <= 60; second++) {
    const next = control.next({ ringFull: second * 10, fillRatio: 1 });
    assert.ok(next >= shed);
    shed = next;
  }
  assert.ok(shed > 900 && shed < 1000);
});

test("they come back step by step when the ring is calm", () => {
  const control = new ShedControl();
  control.next({ ringFull: 1, fillRatio: 1 });
  const high = control.perMille;
  for (let second = 0; second < 9; second++) control.next({ ringFull: 1, fillRatio: 0 });
  assert.equal(control.perMille, high);
  control.next({ ringFull: 1, fillRatio: 0 });
  assert.ok(control.perMille < high);
  for (let second = 0; second < 300; second++) control.next({ ringFull: 1, fillRatio: 0 });
  assert.equal(control.perMille, 0);
});

test("what overflowed while nobody read sheds nothing", () => {
  const control = new ShedControl();
  control.forget(5000);
  assert.equal(control.next({ ringFull: 5000, fillRatio: 1 }), 0);
});
