// SPDX-License-Identifier: Apache-2.0
import { DelayDensity } from "./delay-density.ts";
import {
  addWait,
  createPredictor,
  createSlot,
  evidence,
  FORGET_SAMPLES,
  lastDelayScore,
  learnPair,
  logEnding,
  logLikelihood,
  overtakes,
  readyTrigger,
  refreshSlot,
  type Slot,
  type Wait,
} from "./event-slot.ts";
import { FEATURES_MAX, GaussianCopula } from "./gaussian-copula.ts";
import { PatternCounts } from "./pattern-counts.ts";
import { createRandom } from "./random.ts";
import {
  type ChildColumns,
  FROM_JOIN,
  FROM_KINDS,
  FROM_LATEST_END,
  FROM_LATEST_START,
  FROM_RELEASE,
  FROM_START,
  type Handled,
  slotKey,
  triggerName,
  triggerTime,
} from "./triggers.ts";

/** Kinds of calls a handler's events are tried as triggers of; more make no new triggers. */
const TRIGGER_KINDS_MAX = 6;

/** Handlers that are all learnt from, and the share of later ones that are. */
const ALL_UNTIL = 2000;
const LATER_SHARE = 0.25;

/** Calls of a handler, its last ones, that are looked at for overtaking. */
export const OVERTAKING_MAX: number = 32;

const unlearnt = new DelayDensity();

/**
 * What handling one kind of incoming call looks like: which calls it makes how often, and when
 * each starts. Every call's start, and the handler's end, is predicted from one earlier event,
 * the one that predicts it best (a tree of events: sequences, parallel calls and joins come out
 * of it). Times in µs.
 */
export class HandlerModel {
  readonly patterns: PatternCounts = new PatternCounts();
  readonly #slots = new Map<number, Slot>();
  readonly #end: Slot = createSlot([FROM_LATEST_END, FROM_START], FEATURES_MAX - 1);
  readonly #copula = new GaussianCopula();
  /** Features of the handler scored last: how unusual each delay and each call's work is, */
  readonly #scores = new Float64Array(FEATURES_MAX);
  /** and which of them are there, as bits. */
  #mask = 0;
  /** Ends of handlers that made no call. */
  readonly #leafEnd: Slot = createSlot([FROM_START], -1);
  readonly #kinds: number[] = [];
  readonly #random = createRandom(0x2545f491);
  #offered = 0;

  /** Natural logarithm of the likelihood that a handler has exactly these calls. */
  score(handled: Handled, children: readonly number[], columns: ChildColumns): number {
    let total = this.patterns.logProbability(children, columns.kind);
    let mask = 0;
    for (let i = 0; i < children.length; i++) {
      const slot = this.#slots.get(slotKey(children, i, columns.kind));
      total += this.#childScore(slot, handled, children, i, columns);
      if (slot === undefined || slot.feature < 0) continue;
      this.#scores[slot.feature] = lastDelayScore();
      this.#scores[slot.feature + 1] = slot.work.score(columns.workUs[children[i] ?? 0] ?? 0);
      mask |= 3 << slot.feature;
    }
    const slot = children.length === 0 ? this.#leafEnd : this.#end;
    const { startUs, endUs } = handled;
    const { trigger } = slot.chosen;
    const event = triggerTime(trigger, handled, endUs, children, children.length, columns);
    total += evidence(slot, startUs, endUs, event);
    if (children.length === 0) return total;
    this.#scores[slot.feature] = lastDelayScore();
    this.#mask = mask | (1 << slot.feature);
    return total + this.#copula.logRatio(this.#scores, this.#mask);
  }

  /** What adding the last of `children` contributes, before later calls are known. */
  prefixGain(handled: Handled, children: readonly number[], columns: ChildColumns): number {
    const last = children.length - 1;
    const key = slotKey(children, last, columns.kind);
    return (
      this.patterns.logContinues(children, columns.kind) +
      this.#childScore(this.#slots.get(key), handled, children, last, columns)
    );
  }

  /**
   * Nats by which two handlers are less likely for events that overtook each other: what became
   * ready first happened last while both waited.
   */
  overtaking(
    a: Handled,
    ofA: readonly number[],
    b: Handled,
    ofB: readonly number[],
    columns: ChildColumns,
  ): number {
    let total = 0;
    for (let i = Math.max(0, ofA.length - OVERTAKING_MAX); i < ofA.length; i++) {
      const key = slotKey(ofA, i, columns.kind);
      const slot = this.#slots.get(key);
      if (slot === undefined || slot.order === 0) continue;
      const trigger = readyTrigger(slot);
      const at = columns.startUs[ofA[i] ?? 0] ?? 0;
      const ready = triggerTime(trigger, a, at, ofA, i, columns);
      for (let j = Math.max(0, ofB.length - OVERTAKING_MAX); j < ofB.length; j++) {
        if (slotKey(ofB, j, columns.kind) !== key) continue;
        const other = columns.startUs[ofB[j] ?? 0] ?? 0;
        const otherReady = triggerTime(trigger, b, other, ofB, j, columns);
        if (overtakes(ready, at, otherReady, other)) total += slot.order;
      }
    }
    return total;
  }

  /** Takes a handler with its calls as an example; a model that has seen many takes some of them. */
  learn(handled: Handled, children: readonly number[], columns: ChildColumns): void {
    const { endUs } = handled;
    this.#offered++;
    if (this.#offered > ALL_UNTIL && this.#random() >= LATER_SHARE) return;
    this.patterns.add(children, columns.kind);
    if (children.length > 0) {
      this.score(handled, children, columns);
      this.#copula.add(this.#scores, this.#mask);
    }
    for (let i = 0; i < children.length; i++) {
      const child = children[i] ?? 0;
      this.#knowKind(columns.kind[child] ?? 0);
      const at = columns.startUs[child] ?? 0;
      const slot = this.#slotFor(children, i, columns);
      slot.work.add(columns.workUs[child] ?? 0);
      if ((columns.endUs[child] ?? 0) > endUs) slot.outlived += 1;
      else slot.inside += 1;
      slot.inside *= 1 - 1 / FORGET_SAMPLES;
      slot.outlived *= 1 - 1 / FORGET_SAMPLES;
      this.#learnEvent(slot, handled, at, children, i, columns);
    }
    const slot = children.length === 0 ? this.#leafEnd : this.#end;
    this.#learnEvent(slot, handled, endUs, children, children.length, columns);
  }

  /**
   * Learns from pairs of handlers how strictly what is ready first happens first: the better the
   * delays alone explain an order, the less it teaches.
   */
  learnOrder(
    handled: readonly Handled[],
    childrenOf: readonly (readonly number[])[],
    columns: ChildColumns,
  ): void {
    const waits = new Map<Slot, Wait[]>();
    for (const [index, one] of handled.entries()) {
      const children = childrenOf[index] ?? [];
      for (let i = 0; i < children.length; i++) {
        const slot = this.#slots.get(slotKey(children, i, columns.kind));
        if (slot === undefined) continue;
        const atUs = columns.startUs[children[i] ?? 0] ?? 0;
        const readyUs = triggerTime(readyTrigger(slot), one, atUs, children, i, columns);
        if (Number.isNaN(readyUs)) continue;
        addWait(waits, slot, { readyUs, atUs });
      }
      const atUs = one.endUs;
      const readyUs = triggerTime(
        this.#end.chosen.trigger,
        one,
        atUs,
        children,
        children.length,
        columns,
      );
      if (children.length > 0) addWait(waits, this.#end, { readyUs, atUs });
    }
    for (const [slot, row] of waits) {
      row.sort((a, b) => a.readyUs - b.readyUs);
      for (let i = 1; i < row.length; i++) {
        const [first, second] = [row[i - 1], row[i]];
        if (first === undefined || second === undefined) continue;
        if (second.readyUs >= first.atUs || first.atUs === second.atUs) continue;
        learnPair(slot, first.readyUs, first.atUs, second.readyUs, second.atUs);
      }
    }
  }

  /** Makes what was learnt count in `score`. */
  refresh(): void {
    this.patterns.refresh();
    this.#copula.refresh();
    for (const slot of [...this.#slots.values(), this.#end, this.#leafEnd]) {
      refreshSlot(slot);
    }
  }

  /** For people: the event each call and the end follow. */
  describe(kindName: (kind: number) => string): string[] {
    const lines: string[] = [];
    for (const [key, slot] of this.#slots) {
      const name = `${kindName(key >> 1)}${(key & 1) === 1 ? " (again)" : ""}`;
      const after = triggerName(slot.chosen.trigger, kindName);
      lines.push(
        `${name} after ${after}, order ${slot.order.toFixed(1)}, trust ${slot.trust.toFixed(1)}`,
      );
    }
    const { chosen, order, trust } = this.#end;
    const end = `end after ${triggerName(chosen.trigger, kindName)}`;
    lines.push(`${end}, order ${order.toFixed(1)}, trust ${trust.toFixed(1)}`);
    return lines;
  }

  /** Leaves the delay's normal score for `lastDelayScore`. */
  #childScore(
    slot: Slot | undefined,
    handled: Handled,
    children: readonly number[],
    index: number,
    columns: ChildColumns,
  ): number {
    const { startUs, endUs } = handled;
    const child = children[index] ?? 0;
    const at = columns.startUs[child] ?? 0;
    const trigger = slot === undefined ? FROM_LATEST_END : slot.chosen.trigger;
    const event = triggerTime(trigger, handled, at, children, index, columns);
    const ending = logEnding(slot, (columns.endUs[child] ?? 0) > endUs);
    if (slot === undefined) return ending + unlearnt.logDensity(at - event);
    return ending + evidence(slot, startUs, at, event);
  }

  #slotFor(children: readonly number[], index: number, columns: ChildColumns): Slot {
    const key = slotKey(children, index, columns.kind);
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      const feature = 2 * this.#slots.size;
      const general = [FROM_START, FROM_LATEST_END, FROM_LATEST_START, FROM_JOIN, FROM_RELEASE];
      const triggers = [...general, ...this.#kindTriggers()];
      slot = createSlot(triggers, feature + 2 < FEATURES_MAX ? feature : -1);
      this.#slots.set(key, slot);
    }
    return slot;
  }

  #kindTriggers(): number[] {
    return this.#kinds.flatMap((kind) => [FROM_KINDS + 2 * kind, FROM_KINDS + 2 * kind + 1]);
  }

  /** A kind of call seen for the first time becomes a possible trigger of all others. */
  #knowKind(kind: number): void {
    if (this.#kinds.includes(kind) || this.#kinds.length >= TRIGGER_KINDS_MAX) return;
    this.#kinds.push(kind);
    for (const slot of this.#slots.values()) {
      slot.predictors.push(createPredictor(FROM_KINDS + 2 * kind));
      slot.predictors.push(createPredictor(FROM_KINDS + 2 * kind + 1));
    }
    this.#end.predictors.push(createPredictor(FROM_KINDS + 2 * kind));
  }

  #learnEvent(
    slot: Slot,
    handled: Handled,
    atUs: number,
    children: readonly number[],
    index: number,
    columns: ChildColumns,
  ): void {
    const { startUs } = handled;
    for (const one of slot.predictors) {
      const event = triggerTime(one.trigger, handled, atUs, children, index, columns);
      const rate = Math.max(1 / (one.scored + 1), 1 / FORGET_SAMPLES);
      one.score += rate * (logLikelihood(one, startUs, atUs, event) - one.score);
      one.scored++;
      const keep = 1 - 1 / FORGET_SAMPLES;
      one.present *= keep;
      one.absent *= keep;
      if (Number.isNaN(event)) {
        one.absent++;
        one.otherwise.add(atUs - startUs);
      } else {
        one.present++;
        one.delays.add(atUs - event);
      }
    }
  }
}
