// SPDX-License-Identifier: Apache-2.0
import { JointState } from "./joint-state.ts";
import { type Component, components, NONE, type WindowProblem } from "./window-problem.ts";

/** Effort of one window's solution, in proposals a free child. */
export interface SolverOptions {
  /** While the temperature falls from `START_TEMPERATURE` to 1; not counted. */
  readonly warmUpSweeps: number;
  /** At temperature 1; counted for the confidence. */
  readonly sampleSweeps: number;
  /** While the temperature falls to near 0: the way to the likeliest solution. */
  readonly coolSweeps: number;
}

export interface Solution {
  /** The likeliest parent by child in the joint solution; NONE where that is no parent. */
  readonly parent: Int32Array;
  /** Share of sampled joint solutions that have this link (or this absence of one). */
  readonly confidence: Float64Array;
  /** One joint solution drawn by its probability: what a model should learn from. */
  readonly sample: Int32Array;
}

const START_TEMPERATURE = 4;
const END_TEMPERATURE = 0.05;
/** Parts of at most so many parents are taken as they are when nothing moves in some sweeps. */
const QUIET_PARENTS_MAX = 4;
const QUIET_SWEEPS = 10;
const SHAKE_SWEEPS = 15;
/** Share of the sweeps after which only children that moved are tried every time. */
const SCOUT_SHARE = 0.25;
const CALM_EVERY = 5;

/** Solves a window's parts one by one. Bounded by sweeps × children. */
export function solveWindow(
  problem: WindowProblem,
  options: SolverOptions,
  random: () => number,
): Solution {
  const count = problem.kind.length;
  const solution: Solution = {
    parent: new Int32Array(count).fill(NONE),
    confidence: new Float64Array(count).fill(1),
    sample: new Int32Array(count).fill(NONE),
  };
  for (const [child, fixed] of problem.fixed.entries()) {
    if (fixed === 0) continue;
    solution.parent[child] = problem.initial[child] ?? NONE;
    solution.sample[child] = problem.initial[child] ?? NONE;
  }
  const state = new JointState(problem, random);
  for (const part of components(problem)) solvePart(problem, part, state, options, solution);
  return solution;
}

function solvePart(
  problem: WindowProblem,
  part: Component,
  state: JointState,
  options: SolverOptions,
  solution: Solution,
): void {
  state.enter(part);
  const free = part.children.filter((child) => problem.fixed[child] === 0);
  if (free.every((child) => problem.candidates[child]?.length === 1)) {
    for (const child of free) {
      state.settleAlone(child, solution);
    }
    return;
  }
  if (isQuiet(state, free, part)) {
    for (const child of free) {
      solution.parent[child] = state.parentOf(child);
      solution.sample[child] = state.parentOf(child);
      solution.confidence[child] = 1 / (1 + state.doubtOf(child));
    }
    return;
  }
  for (let sweep = 0; sweep < options.warmUpSweeps; sweep++) {
    state.sweep(free, START_TEMPERATURE ** (1 - sweep / options.warmUpSweeps));
  }
  state.countFrom(free);
  const scout = Math.ceil(options.sampleSweeps * SCOUT_SHARE);
  for (let sweep = 0; sweep < scout; sweep++) state.sweepAndTick(free, 1);
  const moving = free.filter((child) => state.hasMoved(child));
  for (let sweep = scout; sweep < options.sampleSweeps; sweep++) {
    state.sweepAndTick(sweep % CALM_EVERY === 0 ? free : moving, 1);
  }
  for (const child of free) solution.sample[child] = state.parentOf(child);
  state.finishCounts(free);
  for (let sweep = 1; sweep <= options.coolSweeps; sweep++) {
    const temperature = END_TEMPERATURE ** (sweep / options.coolSweeps);
    state.sweep(sweep % CALM_EVERY === 0 ? free : moving, temperature);
  }
  for (const child of free) {
    solution.parent[child] = state.parentOf(child);
    solution.confidence[child] = state.share(child, options.sampleSweeps);
  }
}

/** Whether a small part, shaken and settled, withstands all that is tried against it. */
function isQuiet(state: JointState, free: readonly number[], part: Component): boolean {
  if (part.parents.length > QUIET_PARENTS_MAX) return false;
  for (let sweep = 0; sweep < SHAKE_SWEEPS; sweep++) {
    state.sweep(free, START_TEMPERATURE ** (1 - sweep / SHAKE_SWEEPS));
  }
  for (let sweep = 0; sweep < QUIET_SWEEPS; sweep++) {
    if (state.sweep(free, 1) > 0) return false;
  }
  return part.parents.every((parent) => state.isUsual(parent));
}
