// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { DrainLoop } from "./drain-loop.ts";

/** How often a ring is read within a second, every 80 ms, if each time it is as full and has as much. */
function turnsInASecond(fillRatio: number, records: number): number {
  mock.timers.enable({ apis: ["setTimeout", "setImmediate"] });
  let turns = 0;
  const loop = new DrainLoop({
    intervalMs: 80,
    fillRatio: () => fillRatio,
    drain: () => records,
    flush: () => {},
    onTurn: () => {
      turns++;
    },
    onFailure: (error) => assert.ifError(error),
  });
  try {
    loop.open();
    for (let ms = 0; ms < 1000; ms++) mock.timers.tick(1);
    return turns;
  } finally {
    loop.close();
    mock.timers.reset();
  }
}

test("the ring is read at the interval, half as often while nothing comes", () => {
  assert.equal(turnsInASecond(0.01, 5), 13);
  assert.equal(turnsInASecond(0, 0), 7);
});

test("a ring that fills up is read more often", () => {
  assert.equal(turnsInASecond(0.1, 100), 50);
});
