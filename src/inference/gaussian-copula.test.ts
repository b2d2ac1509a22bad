// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { GaussianCopula, normalScore } from "./gaussian-copula.ts";
import { createRandom } from "./random.ts";

function observed(correlation: number): GaussianCopula {
  const copula = new GaussianCopula();
  const random = createRandom(5);
  const scores = new Float64Array(16);
  for (let i = 0; i < 3000; i++) {
    const a = normalScore(random());
    scores[0] = a;
    scores[1] = correlation * a + Math.sqrt(1 - correlation ** 2) * normalScore(random());
    scores[4] = normalScore(random());
    copula.add(scores, 0b10011);
  }
  copula.refresh();
  return copula;
}

test("quantiles of the normal distribution are those of its tables", () => {
  assert.ok(Math.abs(normalScore(0.975) - 1.959964) < 1e-5);
  assert.ok(Math.abs(normalScore(0.5)) < 1e-9);
  assert.ok(Math.abs(normalScore(0.01) + 2.326348) < 1e-5);
});

test("features that are independent add next to nothing", () => {
  const scores = Float64Array.from({ length: 16 }, () => 1.5);
  assert.ok(Math.abs(observed(0).logRatio(scores, 0b10001)) < 0.2);
});

test("features that go together are likelier together, as the bivariate normal says", () => {
  const copula = observed(0.8);
  const scores = new Float64Array(16);
  scores[0] = 1.5;
  scores[1] = 1.5;
  const r = 0.8;
  const form = (r * r * 2 * 1.5 ** 2 - 2 * r * 1.5 ** 2) / (1 - r * r);
  const bivariate = -0.5 * Math.log(1 - r * r) - 0.5 * form;
  // One observation in ten may be independent.
  const expected = Math.log(0.9 * Math.exp(bivariate) + 0.1);
  assert.ok(Math.abs(copula.logRatio(scores, 0b11) - expected) < 0.15);
  scores[1] = -1.5;
  assert.ok(Math.abs(copula.logRatio(scores, 0b11) - Math.log(0.1)) < 0.1);
});

test("one feature alone says nothing of others", () => {
  assert.equal(observed(0.8).logRatio(new Float64Array(16).fill(2), 0b1), 0);
});
