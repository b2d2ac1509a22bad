// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { DelayDensity } from "./delay-density.ts";
import { createRandom } from "./random.ts";

function learnt(delays: Iterable<number>): DelayDensity {
  const density = new DelayDensity();
  for (const delay of delays) density.add(delay);
  density.refresh();
  return density;
}

function mass(density: DelayDensity, fromUs: number, toUs: number, stepUs: number): number {
  let sum = 0;
  for (let at = fromUs; at < toUs; at += stepUs) {
    sum += Math.exp(density.logDensity(at + stepUs / 2)) * stepUs;
  }
  return sum;
}

test("a learnt density has the mass one", () => {
  const random = createRandom(3);
  const delays = Array.from({ length: 400 }, () => Math.round(Math.exp(5 + 2 * random())));
  const total = mass(learnt(delays), -20_000, 200_000, 1);
  assert.ok(Math.abs(total - 1) < 0.03, `mass ${total}`);
});

test("delays that are all equal are as dense as the clock's resolution, not denser", () => {
  const density = learnt(Array.from({ length: 500 }, () => 0));
  assert.ok(Math.exp(density.logDensity(0)) > 0.5);
  assert.ok(Math.exp(density.logDensity(0)) < 2);
  assert.ok(density.logDensity(100) < -8);
});

test("times in whole milliseconds are spread over a millisecond", () => {
  const density = learnt(Array.from({ length: 300 }, (_, i) => 1000 * (1 + (i % 3))));
  assert.ok(Math.abs(density.logDensity(2000) - Math.log(1 / 3000)) < 0.7);
});

test("the shares below and above a quantile are those of the normal score", () => {
  const density = learnt(Array.from({ length: 500 }, (_, i) => 10 + i));
  assert.ok(Math.abs(density.score(260)) < 0.15);
  assert.ok(Math.abs(density.score(10 + 0.8413 * 500) - 1) < 0.2);
  assert.ok(density.score(20) < -1.5);
});

test("old delays are forgotten", () => {
  const density = learnt(Array.from({ length: 600 }, () => 50));
  const before = density.logDensity(50);
  for (let i = 0; i < 600; i++) density.add(9000 + (i % 7));
  density.refresh();
  assert.ok(density.logDensity(50) < before - 4);
});

test("before anything is learnt, shorter delays are likelier and negative ones are not impossible", () => {
  const density = new DelayDensity();
  assert.ok(density.logDensity(10) > density.logDensity(5000));
  assert.ok(density.logDensity(10) > density.logDensity(-10));
  assert.ok(Number.isFinite(density.logDensity(-10)));
});
