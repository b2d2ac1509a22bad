// SPDX-License-Identifier: Apache-2.0
import { clockSkewUs } from "./clock-skew.ts";
import type { HandlerModel } from "./handler-model.ts";
import { createRandom } from "./random.ts";
import { ROLE_ALONE, ROLE_LAST, ROLE_NOT_LAST, ServiceModel } from "./service-model.ts";
import { NONE, type Parent, type WindowProblem } from "./window-problem.ts";
import { type Solution, type SolverOptions, solveWindow } from "./window-solver.ts";

/** A complete call as the inferring service's process saw it. */
export interface CallTimes {
  /** The caller's name for it; given back in links. */
  readonly id: number;
  /** Low-cardinality name, or a number for one; for outgoing calls with the peer, where known. */
  readonly operation: string | number;
  /** µs, any epoch, the same clock for all calls of the service. */
  readonly startUs: number;
  readonly endUs: number;
  /** Incoming calls with the same number are known to belong to one trace. */
  readonly trace?: number;
  /** How long the callee worked on it, where its own times are known. */
  readonly workUs?: number;
  /** The times are another host's: a wider tolerance holds. */
  readonly otherClock?: boolean;
  /**
   * Of an outgoing call: the id of the incoming one that weaker evidence names, and a number for how it
   * came by that, 0 to 15. How often such evidence is right is learnt.
   */
  readonly hint?: { readonly parent: number; readonly kind: number };
}

/** A decided outgoing call. */
export interface Link<C extends CallTimes = CallTimes> {
  readonly child: number;
  /** Id of the incoming call; undefined when none is likelier or none likely enough. */
  readonly parent: number | undefined;
  /** Probability that the likeliest answer is right, 0 to 1. */
  readonly confidence: number;
  /** The outgoing call, and the incoming one that is said to be its cause, as they were given. */
  readonly call: C;
  readonly cause: C | undefined;
}

export interface InferenceOptions {
  readonly seed: number;
  /** How long a call waits for others that began before it and end later, µs. */
  readonly holdUs: number;
  /** Incoming plus outgoing calls held; above it the oldest are decided at once. */
  readonly heldMax: number;
  /**
   * A call may begin so much before its handler or after it, as far as is known: how coarsely times
   * were recorded, µs.
   */
  readonly toleranceUs: number;
  /** A parent that is less sure than this is not said, 0 to 1. */
  readonly confidenceMin: number;
  readonly solver: SolverOptions;
}

export const DEFAULT_INFERENCE: InferenceOptions = {
  seed: 1,
  holdUs: 2_000_000,
  heldMax: 20_000,
  toleranceUs: 1000,
  confidenceMin: 0.5,
  solver: {
    shakeSweeps: 15,
    warmUpSweeps: 30,
    sampleSweeps: 150,
    coolSweeps: 15,
    proposalsMax: 200,
    workMax: 3000,
  },
};

/** Two hosts' clocks may put a call this far outside its handler. */
const OTHER_CLOCK_TOLERANCE_US = 3000;
/** Parents tried for one call: those that began last. */
const CANDIDATES_MAX = 64;

/** Handlers' lengths beyond what is due that a window reaches. */
const HORIZON_HANDLERS = 2;
/** Decisions after which a parent is dropped even if its times lie ahead: a clock was set back. */
const ROUNDS_MAX = 64;
/** Handlers learnt before a choice between parents is said to be surer than even. */
const EXAMPLES_MIN = 30;
const UNTAUGHT_CONFIDENCE_MAX = 0.5;
/** What is left of the longest handler's length after a window without such a one. */
const LONGEST_KEPT = 0.9;

interface HeldParent<C> {
  readonly call: C;
  readonly kind: number;
  /** Decisions made before it came. */
  readonly round: number;
}

interface HeldChild<C> {
  readonly call: C;
  readonly kind: number;
  /** By the handlers' clock, as far as its offset is known. */
  startUs: number;
  endUs: number;
  /** Decided by an earlier window: its parent's id, or undefined for none. */
  decided: boolean;
  parent: number | undefined;
}

/**
 * Finds the incoming call behind each outgoing call of one service, from times alone. Calls
 * arrive complete, roughly in order of their end; `decide` answers those that have waited long
 * enough, and learns from them. Memory is bounded by `heldMax` and the model's own limits.
 */
export class ServiceInference<C extends CallTimes = CallTimes> {
  readonly #options: InferenceOptions;
  readonly #model: ServiceModel;
  readonly #random: () => number;
  #parents: HeldParent<C>[] = [];
  #children: HeldChild<C>[] = [];
  /** The part of both that is being solved, in order of start. */
  #windowParents: readonly HeldParent<C>[] = [];
  #windowChildren: readonly HeldChild<C>[] = [];
  /** Longest handler of late, µs. */
  #longestUs = 0;
  #round = 0;
  /** Calls decided before their time because `heldMax` was reached. */
  forcedCount = 0;

  constructor(
    options: InferenceOptions = DEFAULT_INFERENCE,
    model: ServiceModel = new ServiceModel(),
  ) {
    this.#options = options;
    this.#model = model;
    this.#random = createRandom(options.seed);
  }

  get model(): ServiceModel {
    return this.#model;
  }

  /** Incoming and outgoing calls held. */
  get heldCount(): number {
    return this.#parents.length + this.#children.length;
  }

  incoming(call: C): void {
    const kind = this.#model.numberOf(call.operation);
    this.#parents.push({ call, kind, round: this.#round });
  }

  outgoing(call: C): void {
    this.#add(call, false, undefined);
  }

  /** An outgoing call whose incoming call is known; that one may come later. */
  known(call: C, parent: number): void {
    this.#add(call, true, parent);
  }

  /** Answers for all calls that ended `holdUs` or longer before `nowUs`, each once. */
  decide(nowUs: number): Link<C>[] {
    let dueUs = nowUs - this.#options.holdUs;
    const surplus = this.heldCount - this.#options.heldMax;
    if (surplus > 0) {
      const ends = [...this.#parents, ...this.#children].map((one) => one.call.endUs);
      const forcedUs = Float64Array.from(ends).sort()[surplus] ?? nowUs;
      if (forcedUs > dueUs) {
        for (const end of ends) if (end > dueUs && end <= forcedUs) this.forcedCount++;
        dueUs = forcedUs;
      }
    }
    return this.decideEndedBy(dueUs);
  }

  /** Answers for all calls that are held. */
  flush(): Link<C>[] {
    return this.decideEndedBy(Number.POSITIVE_INFINITY);
  }

  /** "Unknown" for all calls that ended by `dueUs`, at no cost: nothing is learnt. */
  giveUp(dueUs: number): Link<C>[] {
    const links: Link<C>[] = [];
    for (const child of this.#children) {
      if (child.decided || child.call.endUs > dueUs) continue;
      child.decided = true;
      const { call } = child;
      links.push({ child: call.id, parent: undefined, confidence: 0, call, cause: undefined });
    }
    this.#forget(dueUs);
    return links;
  }

  #add(call: C, decided: boolean, parent: number | undefined): void {
    const kind = this.#model.numberOf(call.operation);
    const { startUs, endUs } = call;
    this.#children.push({ call, kind, startUs, endUs, decided, parent });
  }

  /** Answers for all calls that ended by `dueUs`, each once, and learns from them. */
  decideEndedBy(dueUs: number): Link<C>[] {
    if (!this.#children.some((one) => !one.decided && one.call.endUs <= dueUs)) {
      if (!this.#parents.some((one) => one.call.endUs <= dueUs)) return [];
    }
    this.#parents.sort((a, b) => a.call.startUs - b.call.startUs);
    this.#adjustClocks();
    this.#children.sort(
      (a, b) => a.startUs - b.startUs || a.kind - b.kind || a.call.id - b.call.id,
    );
    this.#openWindow(dueUs);
    const problem = this.#problem();
    if (!this.#model.taught) this.#bootstrap(problem);
    const solution = solveWindow(problem, this.#options.solver, this.#random);
    const links = this.#links(problem, solution, dueUs);
    this.#learn(problem, solution, dueUs);
    this.#forget(dueUs);
    return links;
  }

  #links(problem: WindowProblem, solution: Solution, dueUs: number): Link<C>[] {
    const links: Link<C>[] = [];
    const isUntaught = this.#model.examples < EXAMPLES_MIN;
    for (const [index, child] of this.#windowChildren.entries()) {
      if (child.decided || child.call.endUs > dueUs) continue;
      const parent = this.#windowParents[solution.parent[index] ?? NONE]?.call;
      child.decided = true;
      child.parent = parent?.id;
      let confidence = solution.confidence[index] ?? 0;
      const choices = problem.candidates[index]?.length ?? 0;
      if (isUntaught && choices > 1) confidence = Math.min(confidence, UNTAUGHT_CONFIDENCE_MAX);
      const cause = confidence >= this.#options.confidenceMin ? parent : undefined;
      const { call } = child;
      links.push({ child: call.id, parent: cause?.id, confidence, call, cause });
      this.#model.learnOrphan(child.kind, choices === 0);
    }
    return links;
  }

  /** Takes the offsets of other hosts' clocks out of the children's times. */
  #adjustClocks(): void {
    const kinds = new Map<number, HeldChild<C>[]>();
    for (const child of this.#children) {
      if (child.call.otherClock !== true) continue;
      const alike = kinds.get(child.kind);
      if (alike === undefined) kinds.set(child.kind, [child]);
      else alike.push(child);
    }
    const handlers = this.#parents.map((one) => one.call);
    for (const [kind, alike] of kinds) {
      if (!this.#model.taught) {
        const calls = alike.map((one) => one.call);
        this.#model.setSkew(kind, clockSkewUs(handlers, calls));
      }
      const skewUs = this.#model.skewUs(kind);
      for (const child of alike) {
        child.startUs = child.call.startUs - skewUs;
        child.endUs = child.call.endUs - skewUs;
      }
    }
  }

  /** Leaves out what begins so late that it cannot bear on anything that is due. */
  #openWindow(dueUs: number): void {
    for (const { call } of this.#parents) {
      this.#longestUs = Math.max(this.#longestUs, call.endUs - call.startUs);
    }
    const horizonUs = dueUs + Math.min(HORIZON_HANDLERS * this.#longestUs, this.#options.holdUs);
    this.#windowParents = this.#parents.filter((one) => one.call.startUs <= horizonUs);
    this.#windowChildren = this.#children.filter((one) => one.startUs <= horizonUs);
    this.#longestUs *= LONGEST_KEPT;
  }

  #problem(): WindowProblem {
    const count = this.#windowChildren.length;
    const index = new Map(this.#windowParents.map((one, at) => [one.call.id, at]));
    const starts = this.#windowChildren.map((one) => one.startUs);
    const spanUs = Math.max(1e6, (starts.at(-1) ?? 0) - (starts[0] ?? 0));
    return {
      parents: this.#handled(),
      kind: Int32Array.from(this.#windowChildren, (one) => one.kind),
      startUs: Float64Array.from(starts),
      endUs: Float64Array.from(this.#windowChildren, (one) => one.endUs),
      releaseUs: this.#releases(),
      workUs: Float64Array.from(
        this.#windowChildren,
        ({ call }) => call.workUs ?? call.endUs - call.startUs,
      ),
      ...this.#hinted(this.#candidates(), index),
      fixed: Uint8Array.from(this.#windowChildren, (one) => (one.decided ? 1 : 0)),
      initial: Int32Array.from(this.#windowChildren, (one) =>
        one.parent === undefined ? NONE : (index.get(one.parent) ?? NONE),
      ),
      logOrphan: Float64Array.from(this.#windowChildren, (one) =>
        Math.log((this.#model.orphanShare(one.kind) * count) / spanUs),
      ),
    };
  }

  /** What weaker evidence says, as nats for the parent that it names. */
  #hinted(
    candidates: number[][],
    index: ReadonlyMap<number, number>,
  ): Pick<WindowProblem, "candidates" | "hint" | "hintNats"> {
    const hint = new Int32Array(candidates.length).fill(NONE);
    const hintNats = new Float64Array(candidates.length);
    for (const [at, child] of this.#windowChildren.entries()) {
      const parent = index.get(child.call.hint?.parent ?? Number.NaN) ?? NONE;
      const others = (candidates[at]?.length ?? 0) - 1;
      if (parent === NONE || others < 1 || candidates[at]?.includes(parent) !== true) continue;
      hint[at] = parent;
      hintNats[at] = this.#model.hintNats(child.kind, child.call.hint?.kind ?? 0, others);
    }
    return { candidates, hint, hintNats };
  }

  /** For each child in order of start, the latest end before it among calls of its kind. */
  #releases(): Float64Array {
    const releases = new Float64Array(this.#windowChildren.length).fill(Number.NaN);
    const ends = [...this.#windowChildren.keys()].sort(
      (a, b) => (this.#windowChildren[a]?.endUs ?? 0) - (this.#windowChildren[b]?.endUs ?? 0),
    );
    const latest = new Map<number, number>();
    let next = 0;
    for (const [index, child] of this.#windowChildren.entries()) {
      for (; next < ends.length; next++) {
        const ended = this.#windowChildren[ends[next] ?? 0];
        if (ended === undefined || ended.endUs > child.startUs) break;
        latest.set(ended.kind, ended.endUs);
      }
      releases[index] = latest.get(child.kind) ?? Number.NaN;
    }
    return releases;
  }

  /** The held incoming calls; those that share a trace know of each other. */
  #handled(): Parent[] {
    const groups = new Map<number, CallTimes[]>();
    for (const { call } of this.#windowParents) {
      if (call.trace === undefined) continue;
      const group = groups.get(call.trace);
      if (group === undefined) groups.set(call.trace, [call]);
      else group.push(call);
    }
    return this.#windowParents.map(({ call, kind }) => {
      const group = groups.get(call.trace ?? Number.NaN) ?? [];
      let joinUs = Number.NaN;
      let role = group.length > 1 ? ROLE_LAST : ROLE_ALONE;
      for (const other of group) {
        if (other === call) continue;
        if (!(other.endUs <= joinUs)) joinUs = other.endUs;
        if (other.endUs > call.endUs) role = ROLE_NOT_LAST;
      }
      const model = this.#model.handler(kind, role);
      return { model, role, startUs: call.startUs, endUs: call.endUs, joinUs };
    });
  }

  /** Parents whose interval holds the child's start, by a sweep over both in order of start. */
  #candidates(): number[][] {
    let open: number[] = [];
    let next = 0;
    const parents = this.#windowParents;
    const { toleranceUs } = this.#options;
    return this.#windowChildren.map((child) => {
      const tolerance = child.call.otherClock === true ? OTHER_CLOCK_TOLERANCE_US : toleranceUs;
      const start = child.startUs;
      while (next < parents.length) {
        if ((parents[next]?.call.startUs ?? 0) > start + OTHER_CLOCK_TOLERANCE_US) break;
        open.push(next++);
      }
      open = open.filter(
        (at) => (parents[at]?.call.endUs ?? 0) + OTHER_CLOCK_TOLERANCE_US >= start,
      );
      const fitting = open.filter((at) => {
        const parent = parents[at]?.call;
        if (parent === undefined) return false;
        return parent.startUs - tolerance <= start && parent.endUs + tolerance >= start;
      });
      return fitting.slice(-CANDIDATES_MAX);
    });
  }

  #learn(problem: WindowProblem, solution: Solution, dueUs: number): void {
    const lists: number[][] = this.#windowParents.map(() => []);
    for (let child = 0; child < problem.kind.length; child++) {
      const fixed = problem.fixed[child] === 1;
      const parent = (fixed ? problem.initial[child] : solution.sample[child]) ?? NONE;
      if (parent !== NONE) lists[parent]?.push(child);
      const hint = problem.hint[child] ?? NONE;
      const { kind, call } = this.#windowChildren[child] ?? {};
      if (fixed || hint === NONE || kind === undefined || call === undefined) continue;
      if (call.endUs <= dueUs) this.#model.learnHint(kind, call.hint?.kind ?? 0, parent === hint);
    }
    const done = new Map<HandlerModel, number[]>();
    for (const [index, parent] of problem.parents.entries()) {
      if (parent.endUs > dueUs) continue;
      const children = lists[index] ?? [];
      parent.model.learn(parent, children, problem);
      this.#model.learnRole(
        this.#windowParents[index]?.kind ?? 0,
        parent.role,
        children.length > 0,
      );
      const alike = done.get(parent.model);
      if (alike === undefined) done.set(parent.model, [index]);
      else alike.push(index);
    }
    for (const [model, indexes] of done) {
      const handled = indexes.flatMap((index) => problem.parents[index] ?? []);
      model.learnOrder(
        handled,
        indexes.map((index) => lists[index] ?? []),
        problem,
      );
    }
    this.#model.refresh();
  }

  /** First lessons: the handlers that leave no choice, as all calls within them are only theirs. */
  #bootstrap(problem: WindowProblem): void {
    const lists: number[][] = this.#windowParents.map(() => []);
    const doubtful = new Set<number>();
    const outliving = outlivingKinds(problem);
    for (const [child, options] of problem.candidates.entries()) {
      const endUs = outliving.has(problem.kind[child] ?? 0) ? 0 : (problem.endUs[child] ?? 0);
      const around = options.filter((at) => (problem.parents[at]?.endUs ?? 0) >= endUs);
      const only = around[0];
      if (around.length === 1 && only !== undefined) lists[only]?.push(child);
      else for (const parent of around) doubtful.add(parent);
    }
    for (const [index, parent] of problem.parents.entries()) {
      if (!doubtful.has(index)) parent.model.learn(parent, lists[index] ?? [], problem);
    }
    this.#model.refresh();
    this.#model.taught = true;
  }

  /** Drops what can no longer matter: parents that are due with all they overlap decided. */
  #forget(dueUs: number): void {
    let earliestUs = Number.POSITIVE_INFINITY;
    for (const child of this.#children) {
      if (!child.decided) earliestUs = Math.min(earliestUs, child.startUs);
    }
    const keepUs = Math.min(dueUs, earliestUs - OTHER_CLOCK_TOLERANCE_US);
    this.#round++;
    const oldest = this.#round - ROUNDS_MAX;
    this.#parents = this.#parents.filter((one) => one.call.endUs > keepUs && one.round > oldest);
    const held = new Set(this.#parents.map((one) => one.call.id));
    this.#children = this.#children.filter(
      (one) =>
        !one.decided || (one.parent !== undefined && (held.has(one.parent) || one.endUs > dueUs)),
    );
  }
}

/** Kinds of calls of which most end later than any handler that was open when they began. */
function outlivingKinds(problem: WindowProblem): Set<number> {
  const balance = new Map<number, number>();
  for (const [child, options] of problem.candidates.entries()) {
    if (options.length === 0) continue;
    const kind = problem.kind[child] ?? 0;
    const endUs = problem.endUs[child] ?? 0;
    const inside = options.some((at) => (problem.parents[at]?.endUs ?? 0) >= endUs);
    balance.set(kind, (balance.get(kind) ?? 0) + (inside ? 1 : -1));
  }
  return new Set([...balance].filter(([, sum]) => sum < 0).map(([kind]) => kind));
}
