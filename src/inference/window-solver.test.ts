// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HandlerModel } from "./handler-model.ts";
import { createRandom } from "./random.ts";
import { NONE, type Parent, type WindowProblem } from "./window-problem.ts";
import { solveWindow } from "./window-solver.ts";

const LONG = {
  shakeSweeps: 30,
  proposalsMax: Number.POSITIVE_INFINITY,
  workMax: Number.POSITIVE_INFINITY,
  warmUpSweeps: 200,
  sampleSweeps: 6000,
  coolSweeps: 100,
};

interface Times {
  readonly startUs: number;
  readonly endUs: number;
}

function problemOf(model: HandlerModel, handlers: Times[], calls: Times[]): WindowProblem {
  const parents: Parent[] = handlers.map((one) => ({ ...one, model, role: 0, joinUs: Number.NaN }));
  const sorted = [...calls].sort((a, b) => a.startUs - b.startUs);
  return {
    parents,
    kind: new Int32Array(sorted.length),
    startUs: Float64Array.from(sorted, (one) => one.startUs),
    endUs: Float64Array.from(sorted, (one) => one.endUs),
    releaseUs: new Float64Array(sorted.length).fill(Number.NaN),
    workUs: Float64Array.from(sorted, (one) => one.endUs - one.startUs),
    candidates: sorted.map((one) =>
      [...parents.keys()].filter(
        (at) =>
          (parents[at]?.startUs ?? 0) <= one.startUs && (parents[at]?.endUs ?? 0) >= one.startUs,
      ),
    ),
    fixed: new Uint8Array(sorted.length),
    initial: new Int32Array(sorted.length).fill(NONE),
    logOrphan: new Float64Array(sorted.length).fill(-14),
    hint: new Int32Array(sorted.length).fill(NONE),
    hintNats: new Float64Array(sorted.length),
  };
}

/** One call a handler, 100 to 1,000 µs after its start; the handler ends soon after it. */
function taught(): HandlerModel {
  const model = new HandlerModel();
  const random = createRandom(11);
  for (let i = 0; i < 300; i++) {
    const startUs = 100 + Math.round(900 * random());
    const endUs = startUs + 1000 + Math.round(2000 * random());
    const problem = problemOf(model, [], [{ startUs, endUs }]);
    const handled = {
      startUs: 0,
      endUs: endUs + 50 + Math.round(300 * random()),
      joinUs: Number.NaN,
    };
    model.learn(handled, [0], problem);
  }
  model.refresh();
  return model;
}

/** Marginals by enumeration of all joint assignments. */
function enumerated(problem: WindowProblem): Map<number, number>[] {
  const count = problem.kind.length;
  const marginals = Array.from({ length: count }, () => new Map<number, number>());
  let total = 0;
  const visit = (assigned: number[]): void => {
    if (assigned.length < count) {
      for (const parent of [...(problem.candidates[assigned.length] ?? []), NONE]) {
        visit([...assigned, parent]);
      }
      return;
    }
    const weight = Math.exp(jointLog(problem, assigned));
    total += weight;
    for (const [child, parent] of assigned.entries()) {
      marginals[child]?.set(parent, (marginals[child]?.get(parent) ?? 0) + weight);
    }
  };
  visit([]);
  for (const row of marginals) for (const [parent, sum] of row) row.set(parent, sum / total);
  return marginals;
}

function jointLog(problem: WindowProblem, assigned: readonly number[]): number {
  let log = 0;
  const lists = problem.parents.map((_, parent) =>
    [...assigned.keys()].filter((child) => assigned[child] === parent),
  );
  for (const [child, parent] of assigned.entries()) {
    if (parent === NONE) log += problem.logOrphan[child] ?? 0;
  }
  for (const [at, parent] of problem.parents.entries()) {
    log += parent.model.score(parent, lists[at] ?? [], problem);
    for (const [other, second] of problem.parents.entries()) {
      if (other <= at) continue;
      log -= parent.model.overtaking(parent, lists[at] ?? [], second, lists[other] ?? [], problem);
    }
  }
  return log;
}

test("confidences of two concurrent handlers are those of all solutions, weighed", () => {
  const model = taught();
  const delay = fc.integer({ min: 20, max: 1500 });
  fc.assert(
    fc.property(delay, delay, fc.integer({ min: 0, max: 600 }), (first, second, gap) => {
      const handlers = [
        { startUs: 0, endUs: 5000 },
        { startUs: gap, endUs: gap + 4800 },
      ];
      const calls = [
        { startUs: first, endUs: 4700 },
        { startUs: gap + second, endUs: 4750 },
      ];
      const problem = problemOf(model, handlers, calls);
      // More than one candidate each, or the small exact way is taken.
      if (problem.candidates.some((options) => options.length < 2)) return;
      const solution = solveWindow(problem, LONG, createRandom(1 + first + second));
      const exact = enumerated(problem);
      for (const [child, row] of exact.entries()) {
        const parent = solution.parent[child] ?? NONE;
        const said = solution.confidence[child] ?? 0;
        const right = row.get(parent) ?? 0;
        assert.ok(Math.abs(said - right) < 0.06, `child ${child}: said ${said}, exact ${right}`);
      }
    }),
    { numRuns: 15, seed: 20 },
  );
});

test("every child gets one of its candidates or none, whatever the times", () => {
  const model = taught();
  const time = fc.record({
    startUs: fc.integer({ min: 0, max: 5000 }),
    endUs: fc.integer({ min: 0, max: 9000 }),
  });
  const calls = fc.array(time, { maxLength: 12 });
  fc.assert(
    fc.property(calls, calls, fc.integer(), (handlers, made, seed) => {
      const problem = problemOf(model, handlers, made);
      const options = {
        shakeSweeps: 30,
        proposalsMax: Number.POSITIVE_INFINITY,
        workMax: Number.POSITIVE_INFINITY,
        warmUpSweeps: 5,
        sampleSweeps: 10,
        coolSweeps: 5,
      };
      const solution = solveWindow(problem, options, createRandom(seed));
      for (const [child, candidates] of problem.candidates.entries()) {
        const parent = solution.parent[child] ?? NONE;
        const confidence = solution.confidence[child] ?? Number.NaN;
        assert.ok(parent === NONE || candidates.includes(parent));
        assert.ok(confidence >= 0 && confidence <= 1, `confidence ${confidence}`);
      }
    }),
  );
});

test("a call that was decided before keeps its parent", () => {
  const handlers = [
    { startUs: 0, endUs: 3000 },
    { startUs: 0, endUs: 3000 },
  ];
  const calls = [
    { startUs: 300, endUs: 2000 },
    { startUs: 310, endUs: 2000 },
  ];
  const problem = problemOf(taught(), handlers, calls);
  problem.fixed[0] = 1;
  problem.initial[0] = 1;
  const solution = solveWindow(problem, LONG, createRandom(4));
  assert.equal(solution.sample[0], 1);
  assert.equal(solution.parent[1], 0);
});
