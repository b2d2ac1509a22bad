// SPDX-License-Identifier: Apache-2.0
import { OVERTAKING_MAX } from "./handler-model.ts";
import { copyWith, copyWithout, insert } from "./sorted-list.ts";
import { type Component, NONE, type WindowProblem } from "./window-problem.ts";

/** Proposals that give a child no parent. */
const ORPHAN_SHARE = 0.05;
/** Shares of the other proposals; what is left moves one child. */
const NEAR_SHARE = 0.6;
const NEAR_ONWARD = 0.6;
const DEAL_SHARE = 0.15;
const SUFFIX_SHARE = 0.25;
const WHOLE_SHARE = 0.05;
/** Temperature at which only gains are taken. */
const FROZEN = 1e-9;
const CLIMBS_MAX = 6;
/** Neighbours of its kind on either side that a child tries to change places with, climbing. */
const CLIMB_NEAR = 4;
/** Other parents that a child tries to move to, climbing. */
const CLIMB_MOVES = 8;
/** Moves that make the patterns of calls less likely by more nats are not looked at. */
const CLIMB_PATTERN_NATS = 12;

/** What costs as much as one call's score: calls counted for a prefix, pairs compared for order. */
const PREFIX_STEPS = 16;
const PAIRS_A_CALL = 4;

/** Where answers go, by child; see `Solution`. */
interface Answer {
  readonly parent: Int32Array;
  readonly confidence: Float64Array;
  readonly sample: Int32Array;
}

/**
 * A joint assignment of children to parents and its likelihood, changed by proposals that are
 * taken or refused by the Metropolis rule: one child moves, two children of a kind change
 * places, or two parents exchange all calls from some moment on. The last is what lets whole
 * chains change hands at once.
 */
export class JointState {
  readonly #problem: WindowProblem;
  readonly #random: () => number;
  readonly #assigned: Int32Array;
  readonly #lists: number[][];
  readonly #scores: Float64Array;
  #tick = 0;
  #counting = false;
  #taken = 0;
  #work = 0;
  /** Number of changes so far; by parent, the number of its last; by child, when it last climbed. */
  #changes = 0;
  readonly #changed: Int32Array;
  readonly #climbed: Int32Array;
  readonly #doubt: Float64Array;
  readonly #since: Int32Array;
  readonly #visits: Map<number, number>[] = [];
  /** Children of each kind in order of start, and each child's place in its row. */
  readonly #byKind = new Map<number, number[]>();
  readonly #rank: Int32Array;
  readonly #left: number[] = [];
  readonly #right: number[] = [];
  readonly #union: number[] = [];

  constructor(problem: WindowProblem, random: () => number) {
    this.#problem = problem;
    this.#random = random;
    this.#assigned = new Int32Array(problem.kind.length).fill(NONE);
    this.#since = new Int32Array(problem.kind.length);
    this.#changed = new Int32Array(problem.parents.length);
    this.#climbed = new Int32Array(problem.kind.length).fill(-1);
    this.#doubt = new Float64Array(problem.kind.length);
    this.#lists = problem.parents.map(() => []);
    this.#scores = new Float64Array(problem.parents.length);
    this.#rank = new Int32Array(problem.kind.length);
    for (const [child, kind] of problem.kind.entries()) {
      const row = this.#byKind.get(kind);
      if (row === undefined) this.#byKind.set(kind, [child]);
      else this.#rank[child] = row.push(child) - 1;
    }
  }

  /** Calls that were looked at so far, as parts of what was weighed. */
  get work(): number {
    return this.#work;
  }

  parentOf(child: number): number {
    return this.#assigned[child] ?? NONE;
  }

  /** First guess: children in order of time, each to the parent where it fits best so far. */
  enter(part: Component): void {
    const problem = this.#problem;
    this.#counting = false;
    for (const child of part.children) {
      if (problem.fixed[child] === 1) this.#place(child, problem.initial[child] ?? NONE);
      else this.#place(child, this.#bestPrefix(child));
    }
    for (const parent of part.parents) {
      this.#scores[parent] = this.#score(parent, this.#lists[parent] ?? []);
    }
  }

  /** A child that can have only one parent: that one, or none. */
  settleAlone(child: number, solution: Answer): void {
    const problem = this.#problem;
    const only = problem.candidates[child]?.[0] ?? NONE;
    const list = this.#lists[only] ?? [];
    const without = list.filter((other) => other !== child);
    const isThere = this.parentOf(child) === only;
    if (!isThere) copyWith(this.#union, list, child);
    const scoreWith = this.#score(only, isThere ? list : this.#union);
    const scoreWithout = this.#score(only, without) + (problem.logOrphan[child] ?? 0);
    const share = 1 / (1 + Math.exp(Math.min(50, scoreWithout - scoreWith)));
    const linked = share >= 0.5;
    solution.parent[child] = linked ? only : NONE;
    solution.sample[child] = solution.parent[child] ?? NONE;
    solution.confidence[child] = linked ? share : 1 - share;
  }

  /**
   * Takes whatever makes the solution likelier, until nothing near does; the children for which
   * something that was tried is more than `doubtMin` times as likely as what they have. Those that
   * `workMax` leaves no time for are among them.
   */
  climb(free: readonly number[], doubtMin: number, workMax: number): number[] {
    for (let climb = 0; climb < CLIMBS_MAX; climb++) {
      this.#taken = 0;
      for (const child of free) {
        if (!this.#isStale(child)) continue;
        if (this.#work > workMax) {
          this.#doubt[child] = 1;
          continue;
        }
        this.#climbFrom(child);
        this.#climbed[child] = this.#changes;
      }
      if (this.#taken === 0) break;
    }
    return free.filter((child) => (this.#doubt[child] ?? 0) > doubtMin);
  }

  /** Whether a parent that matters to a child has got other calls since the child last climbed. */
  #isStale(child: number): boolean {
    const since = this.#climbed[child] ?? 0;
    const row = this.#byKind.get(this.#problem.kind[child] ?? 0) ?? [];
    const rank = this.#rank[child] ?? 0;
    for (let step = 0; step <= CLIMB_NEAR; step++) {
      const near = row[rank + step];
      if (near === undefined) break;
      if ((this.#changed[this.parentOf(near)] ?? 0) > since) return true;
    }
    return since < 0;
  }

  #climbFrom(child: number): void {
    const row = this.#byKind.get(this.#problem.kind[child] ?? 0) ?? [];
    const rank = this.#rank[child] ?? 0;
    for (let step = 1; step <= CLIMB_NEAR; step++) {
      // Those before have tried it already.
      const near = row[rank + step];
      if (near === undefined) break;
      const from = this.parentOf(child);
      const to = this.parentOf(near);
      if (from === to || from === NONE || to === NONE) continue;
      this.#swapFrom(child, near, from, to, FROZEN);
      if (this.parentOf(child) === from && this.parentOf(near) === to) {
        this.#swapOne(child, near, from, to, FROZEN);
      }
    }
    const options = this.#problem.candidates[child] ?? [];
    const first = Math.max(0, options.length - CLIMB_MOVES);
    for (let i = first; i < options.length; i++) this.#climbTo(child, options[i] ?? NONE);
    this.#climbTo(child, NONE);
  }

  #climbTo(child: number, to: number): void {
    const from = this.parentOf(child);
    if (from === to) return;
    const nats =
      this.#patternGain(from, child, false) +
      (to === NONE ? 0 : this.#patternGain(to, child, true));
    if (nats > -CLIMB_PATTERN_NATS) this.#move(child, from, to, FROZEN, 0);
  }

  /** What a child that comes or goes does to how likely a parent's pattern is. */
  #patternGain(parent: number, child: number, comes: boolean): number {
    const patterns = this.#problem.parents[parent]?.model.patterns;
    if (patterns === undefined) return 0;
    const list = this.#lists[parent] ?? [];
    if (comes) copyWith(this.#union, list, child);
    else copyWithout(this.#union, list, child);
    const { kind } = this.#problem;
    return patterns.logProbability(this.#union, kind) - patterns.logProbability(list, kind);
  }

  /** As many proposals as children, or as `workMax` leaves time for. */
  sweep(free: readonly number[], temperature: number, workMax: number): void {
    for (let i = 0; i < free.length && this.#work <= workMax; i++) {
      const child = free[Math.floor(this.#random() * free.length)] ?? 0;
      this.#propose(child, temperature);
    }
  }

  sweepAndTick(free: readonly number[], temperature: number, workMax: number): void {
    this.sweep(free, temperature, workMax);
    this.#tick++;
  }

  hasMoved(child: number): boolean {
    return (this.#visits[child]?.size ?? 0) > 0;
  }

  /** Likelihood of the best alternative that was tried for a child, to that of what it has. */
  doubtOf(child: number): number {
    return this.#doubt[child] ?? 0;
  }

  countFrom(free: readonly number[]): void {
    this.#tick = 0;
    this.#counting = true;
    for (const child of free) {
      this.#since[child] = 0;
      this.#visits[child] = new Map();
    }
  }

  finishCounts(free: readonly number[]): void {
    for (const child of free) this.#countVisit(child);
    this.#counting = false;
  }

  share(child: number, samples: number): number {
    const visits = this.#visits[child]?.get(this.parentOf(child)) ?? 0;
    return (visits + 0.5) / (samples + 1);
  }

  #countVisit(child: number): void {
    const stayed = this.#tick - (this.#since[child] ?? 0);
    this.#since[child] = this.#tick;
    const visits = this.#visits[child];
    const parent = this.parentOf(child);
    if (stayed > 0 && visits !== undefined) visits.set(parent, (visits.get(parent) ?? 0) + stayed);
  }

  #score(parent: number, children: readonly number[]): number {
    this.#work += 1 + children.length;
    const handled = this.#problem.parents[parent];
    if (handled === undefined) return 0;
    const { hint, hintNats } = this.#problem;
    let nats = 0;
    for (const child of children) if (hint[child] === parent) nats += hintNats[child] ?? 0;
    return nats + handled.model.score(handled, children, this.#problem);
  }

  #place(child: number, parent: number): void {
    this.#assigned[child] = parent;
    if (parent !== NONE) this.#lists[parent]?.push(child);
  }

  #bestPrefix(child: number): number {
    const problem = this.#problem;
    let best = NONE;
    let bestGain = problem.logOrphan[child] ?? 0;
    for (const parent of problem.candidates[child] ?? []) {
      const gain = this.#prefixGain(parent, this.#lists[parent] ?? [], child);
      if (gain <= bestGain) continue;
      best = parent;
      bestGain = gain;
    }
    return best;
  }

  #propose(child: number, temperature: number): void {
    const options = this.#problem.candidates[child] ?? [];
    const from = this.parentOf(child);
    const ways = Math.log(ORPHAN_SHARE * options.length);
    if (from === NONE) {
      const to = options[Math.floor(this.#random() * options.length)] ?? NONE;
      this.#move(child, from, to, temperature, ways);
      return;
    }
    if (this.#random() < ORPHAN_SHARE) {
      this.#move(child, from, NONE, temperature, -ways);
      return;
    }
    const kind = this.#random();
    if (kind < NEAR_SHARE) {
      const near = this.#nearOfKind(child);
      const to = this.parentOf(near);
      if (to === from || to === NONE) return;
      const way = this.#random();
      if (way < 0.4) this.#dealAgain(from, to, temperature);
      else if (way < 0.7) this.#swapFrom(child, near, from, to, temperature);
      else this.#swapOne(child, near, from, to, temperature);
      return;
    }
    const to = options[Math.floor(this.#random() * options.length)] ?? NONE;
    if (to === from) return;
    if (kind < NEAR_SHARE + DEAL_SHARE) this.#dealAgain(from, to, temperature);
    else if (kind < NEAR_SHARE + SUFFIX_SHARE) this.#swapFrom(child, child, from, to, temperature);
    else if (kind < NEAR_SHARE + SUFFIX_SHARE + WHOLE_SHARE) {
      this.#swapFrom(-1, -1, from, to, temperature);
    } else this.#move(child, from, to, temperature, 0);
  }

  /** A child of the same kind that began shortly before or after. */
  #nearOfKind(child: number): number {
    const kind = this.#problem.kind[child] ?? 0;
    const row = this.#byKind.get(kind) ?? [];
    let steps = 1;
    while (this.#random() < NEAR_ONWARD) steps++;
    const at = (this.#rank[child] ?? 0) + (this.#random() < 0.5 ? steps : -steps);
    return row[at] ?? child;
  }

  #move(child: number, from: number, to: number, temperature: number, logRatio: number): void {
    const orphan = this.#problem.logOrphan[child] ?? 0;
    const left = this.#left;
    const right = this.#right;
    copyWithout(left, from === NONE ? [] : (this.#lists[from] ?? []), child);
    copyWith(right, to === NONE ? [] : (this.#lists[to] ?? []), child);
    const leftScore = from === NONE ? 0 : this.#score(from, left);
    const rightScore = to === NONE ? 0 : this.#score(to, right);
    const before =
      (from === NONE ? orphan : (this.#scores[from] ?? 0)) +
      (to === NONE ? 0 : (this.#scores[to] ?? 0));
    const after = leftScore + rightScore + (to === NONE ? orphan : 0);
    const gain = after - before;
    this.#weigh(child, gain);
    if (temperature === FROZEN && gain <= 0) return;
    if (!this.#accepts(gain / temperature + logRatio)) return;
    this.#reassign(child, to);
    if (from !== NONE) this.#commit(from, left, leftScore);
    if (to !== NONE) this.#commit(to, right, rightScore);
  }

  #swapOne(child: number, partner: number, from: number, to: number, temperature: number): void {
    if (!this.#allMay([partner], from) || !this.#allMay([child], to)) return;
    copyWithout(this.#left, this.#lists[from] ?? [], child);
    insert(this.#left, partner);
    copyWithout(this.#right, this.#lists[to] ?? [], partner);
    insert(this.#right, child);
    this.#decide(from, to, [child], [partner], temperature);
  }

  /** Two parents exchange all children from one of each on, in order of start. */
  #swapFrom(cut: number, otherCut: number, from: number, to: number, temperature: number): void {
    const source = this.#lists[from] ?? [];
    const target = this.#lists[to] ?? [];
    const leaving = source.filter((child) => child >= cut);
    const coming = target.filter((child) => child >= otherCut);
    if (!this.#allMay(leaving, to) || !this.#allMay(coming, from)) return;
    const left = this.#left;
    const right = this.#right;
    left.length = 0;
    right.length = 0;
    for (const child of source) if (child < cut) left.push(child);
    for (const child of target) if (child < otherCut) right.push(child);
    for (const child of coming) insert(left, child);
    for (const child of leaving) insert(right, child);
    this.#decide(from, to, leaving, coming, temperature);
  }

  /**
   * All calls of two parents are dealt anew in order of time, each by how well it continues
   * either; the proposal's own probability, both ways, is taken out of the decision.
   */
  #dealAgain(from: number, to: number, temperature: number): void {
    const union = this.#union;
    copyWithout(union, this.#lists[from] ?? [], NONE);
    for (const child of this.#lists[to] ?? []) insert(union, child);
    const back = this.#deal(from, to, false, temperature);
    const forth = this.#deal(from, to, true, temperature);
    const leaving = this.#right.filter((child) => this.parentOf(child) === from);
    const coming = this.#left.filter((child) => this.parentOf(child) === to);
    if (leaving.length + coming.length === 0) return;
    this.#decide(from, to, leaving, coming, temperature, back - forth);
  }

  /** Deals `#union` into `#left` and `#right`, drawn anew or as it is now; the logarithm of its probability. */
  #deal(from: number, to: number, draw: boolean, temperature: number): number {
    const left = this.#left;
    const right = this.#right;
    left.length = 0;
    right.length = 0;
    let log = 0;
    for (const child of this.#union) {
      const now = this.parentOf(child);
      const other = now === from ? to : from;
      if (!this.#allMay([child], other)) {
        (now === from ? left : right).push(child);
        continue;
      }
      const gain = this.#prefixGain(from, left, child) - this.#prefixGain(to, right, child);
      const share = 1 / (1 + Math.exp(-gain / temperature));
      const toLeft = draw ? this.#random() < share : now === from;
      log += Math.log(Math.max(1e-300, toLeft ? share : 1 - share));
      (toLeft ? left : right).push(child);
    }
    return log;
  }

  #prefixGain(parent: number, list: number[], child: number): number {
    const handled = this.#problem.parents[parent];
    if (handled === undefined) return 0;
    this.#work += 1 + list.length / PREFIX_STEPS;
    list.push(child);
    const gain = handled.model.prefixGain(handled, list, this.#problem);
    list.pop();
    const isHinted = this.#problem.hint[child] === parent;
    return isHinted ? gain + (this.#problem.hintNats[child] ?? 0) : gain;
  }

  #allMay(children: readonly number[], parent: number): boolean {
    for (const child of children) {
      if (this.#problem.fixed[child] === 1) return false;
      if (!(this.#problem.candidates[child] ?? []).includes(parent)) return false;
    }
    return true;
  }

  #decide(
    from: number,
    to: number,
    leaving: readonly number[],
    coming: readonly number[],
    temperature: number,
    logRatio = 0,
  ): void {
    const leftScore = this.#score(from, this.#left);
    const rightScore = this.#score(to, this.#right);
    const before = (this.#scores[from] ?? 0) + (this.#scores[to] ?? 0);
    const order =
      this.#overtaking(from, to, this.#lists[from] ?? [], this.#lists[to] ?? []) -
      this.#overtaking(from, to, this.#left, this.#right);
    const gain = leftScore + rightScore - before + order;
    for (const child of leaving) this.#weigh(child, gain);
    for (const child of coming) this.#weigh(child, gain);
    if (temperature === FROZEN && gain <= 0) return;
    if (!this.#accepts(gain / temperature + logRatio)) return;
    for (const child of leaving) this.#reassign(child, to);
    for (const child of coming) this.#reassign(child, from);
    this.#commit(from, this.#left, leftScore);
    this.#commit(to, this.#right, rightScore);
  }

  #overtaking(from: number, to: number, left: readonly number[], right: readonly number[]): number {
    const a = this.#problem.parents[from];
    const b = this.#problem.parents[to];
    if (a === undefined || b === undefined || a.model !== b.model) return 0;
    const pairs = Math.min(left.length, OVERTAKING_MAX) * Math.min(right.length, OVERTAKING_MAX);
    this.#work += pairs / PAIRS_A_CALL;
    return a.model.overtaking(a, left, b, right, this.#problem);
  }

  #accepts(log: number): boolean {
    const taken = log > 0 || this.#random() < Math.exp(log);
    if (taken) this.#taken++;
    return taken;
  }

  /** Takes note of how likely an alternative is, to what a child has; or had, if it is taken. */
  #weigh(child: number, gain: number): void {
    const doubt = Math.exp(-Math.abs(gain));
    if (doubt > (this.#doubt[child] ?? 0)) this.#doubt[child] = doubt;
  }

  #reassign(child: number, parent: number): void {
    if (this.#counting) this.#countVisit(child);
    this.#assigned[child] = parent;
  }

  #commit(parent: number, children: readonly number[], score: number): void {
    const list = this.#lists[parent];
    if (list === undefined) return;
    list.length = 0;
    for (const child of children) list.push(child);
    this.#scores[parent] = score;
    this.#changed[parent] = ++this.#changes;
  }
}
