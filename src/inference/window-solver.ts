// SPDX-License-Identifier: Apache-2.0
import { JointState } from "./joint-state.ts";
import { type Component, components, NONE, type WindowProblem } from "./window-problem.ts";

/** Effort of one window's solution, in proposals a child. */
export interface SolverOptions {
  /** For all children, before the climb that tells which are in doubt; the others are for those. */
  readonly shakeSweeps: number;
  /** While the temperature falls from `START_TEMPERATURE` to 1; not counted. */
  readonly warmUpSweeps: number;
  /** At temperature 1; counted for the confidence. */
  readonly sampleSweeps: number;
  /** While the temperature falls to near 0: the way to the likeliest solution. */
  readonly coolSweeps: number;
  /**
   * Proposals a call of a part, on average, beyond which its sweeps become fewer: bounds the time
   * where many handlers overlap, at the price of accuracy there.
   */
  readonly proposalsMax: number;
  /**
   * Calls looked at for a call of a part, on average: bounds the time where handlers make
   * hundreds of calls. What is left then is in doubt.
   */
  readonly workMax: number;
}

/** For batches, where accuracy is worth more than time. */
export const THOROUGH: SolverOptions = {
  shakeSweeps: 30,
  warmUpSweeps: 30,
  sampleSweeps: 100,
  coolSweeps: 20,
  proposalsMax: Number.POSITIVE_INFINITY,
  workMax: 20_000,
};

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
/** Share of a budget of proposals that shaking may use. */
const SHAKE_BUDGET = 0.3;
/** Share of the work that climbing and shaking may use. */
const CLIMB_BUDGET = 0.5;
const SWEEPS_MIN = 4;
/** Children for which something else is more likely than this, to what they have, are shaken; */
const LOOSE_MIN = 1e-9;
/** and those for which something is as likely as this afterwards are in doubt. */
const DOUBT_MIN = 1e-4;
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
  const climbed = state.work + CLIMB_BUDGET * options.workMax * part.children.length;
  const workMax = state.work + options.workMax * part.children.length;
  const loose = state.climb(free, LOOSE_MIN, climbed);
  const budget = options.proposalsMax * part.children.length;
  const shakeSweeps = affordable(options.shakeSweeps, loose.length, SHAKE_BUDGET * budget);
  for (let sweep = 0; sweep < shakeSweeps; sweep++) {
    state.sweep(loose, START_TEMPERATURE ** (1 - sweep / shakeSweeps), climbed);
  }
  const contested = loose.length === 0 ? loose : state.climb(free, DOUBT_MIN, climbed);
  for (const child of free) {
    solution.parent[child] = state.parentOf(child);
    solution.sample[child] = state.parentOf(child);
    solution.confidence[child] = 1 / (1 + state.doubtOf(child));
  }
  if (contested.length === 0) return;
  const all = options.warmUpSweeps + options.sampleSweeps + options.coolSweeps;
  const share = affordable(all, contested.length, (1 - SHAKE_BUDGET) * budget) / all;
  const sweeps = {
    ...options,
    warmUpSweeps: Math.ceil(options.warmUpSweeps * share),
    sampleSweeps: Math.ceil(options.sampleSweeps * share),
    coolSweeps: Math.ceil(options.coolSweeps * share),
  };
  sampleContested(state, free, contested, { ...sweeps, workMax }, solution);
}

/** Sweeps over `children` that a budget of proposals allows, at most `wanted` and at least a few. */
function affordable(wanted: number, children: number, budget: number): number {
  return Math.min(wanted, Math.max(SWEEPS_MIN, Math.floor(budget / Math.max(1, children))));
}

/** Draws joint solutions, moving what the climb left in doubt. `workMax`: of all that was done so far. */
function sampleContested(
  state: JointState,
  free: readonly number[],
  contested: readonly number[],
  options: SolverOptions,
  solution: Solution,
): void {
  const { workMax } = options;
  for (let sweep = 0; sweep < options.warmUpSweeps; sweep++) {
    state.sweep(contested, START_TEMPERATURE ** (1 - sweep / options.warmUpSweeps), workMax);
  }
  state.countFrom(free);
  let samples = 0;
  while (samples < options.sampleSweeps && state.work <= workMax) {
    state.sweepAndTick(contested, 1, workMax);
    samples++;
  }
  for (const child of free) solution.sample[child] = state.parentOf(child);
  state.finishCounts(free);
  for (let sweep = 1; sweep <= options.coolSweeps; sweep++) {
    state.sweep(contested, END_TEMPERATURE ** (sweep / options.coolSweeps), workMax);
  }
  const drawn = new Set(contested);
  for (const child of free) {
    solution.parent[child] = state.parentOf(child);
    if (!drawn.has(child) && !state.hasMoved(child)) continue;
    solution.confidence[child] = samples < SWEEPS_MIN ? 0 : state.share(child, samples);
  }
}
