// SPDX-License-Identifier: Apache-2.0
import { DelayDensity } from "./delay-density.ts";
import {
  addWait,
  choose,
  createPredictor,
  createSlot,
  delayScore,
  evidence,
  FORGET_SAMPLES,
  learnPair,
  logEnding,
  logLikelihood,
  overtakes,
  readyTrigger,
  type Slot,
  type Wait,
} from "./event-slot.ts";
import { FEATURES_MAX, GaussianCopula } from "./gaussian-copula.ts";
import { PatternCounts } from "./pattern-counts.ts";
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
  readonly #scores = new Float64Array(FEATURES_MAX);
  /** Ends of handlers that made no call. */
  readonly #leafEnd: Slot = createSlot([FROM_START], -1);
  readonly #kinds: number[] = [];

  /** Natural logarithm of the likelihood that a handler has exactly these calls. */
  score(handled: Handled, children: readonly number[], columns: ChildColumns): number {
    let total = this.patterns.logProbability(children, columns.kind);
    for (let i = 0; i < children.length; i++) {
      total += this.#childScore(handled, children, i, columns);
    }
    const slot = children.length === 0 ? this.#leafEnd : this.#end;
    const { trigger } = slot.chosen;
    const { startUs, endUs } = handled;
    const event = triggerTime(trigger, handled, endUs, children, children.length, columns);
    total += evidence(slot, startUs, endUs, event);
    if (children.length === 0) return total;
    const mask = this.#features(handled, children, columns);
    return total + this.#copula.logRatio(this.#scores, mask);
  }

  /** Fills `#scores` with how unusual each delay and each call's work is; which are there, as bits. */
  #features(handled: Handled, children: readonly number[], columns: ChildColumns): number {
    const { startUs, endUs } = handled;
    let mask = 0;
    for (let i = 0; i < children.length; i++) {
      const child = children[i] ?? 0;
      const slot = this.#slots.get(slotKey(children, i, columns.kind));
      if (slot === undefined || slot.feature < 0) continue;
      const at = columns.startUs[child] ?? 0;
      const event = triggerTime(slot.chosen.trigger, handled, at, children, i, columns);
      this.#scores[slot.feature] = delayScore(slot.chosen, startUs, at, event);
      this.#scores[slot.feature + 1] = slot.work.score(columns.workUs[child] ?? 0);
      mask |= 3 << slot.feature;
    }
    const event = triggerTime(
      this.#end.chosen.trigger,
      handled,
      endUs,
      children,
      children.length,
      columns,
    );
    this.#scores[this.#end.feature] = delayScore(this.#end.chosen, startUs, endUs, event);
    return mask | (1 << this.#end.feature);
  }

  /** What adding the last of `children` contributes, before later calls are known. */
  prefixGain(handled: Handled, children: readonly number[], columns: ChildColumns): number {
    return (
      this.patterns.logContinues(children, columns.kind) +
      this.#childScore(handled, children, children.length - 1, columns)
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
    for (let i = 0; i < ofA.length; i++) {
      const key = slotKey(ofA, i, columns.kind);
      const slot = this.#slots.get(key);
      if (slot === undefined || slot.order === 0) continue;
      const trigger = readyTrigger(slot);
      const at = columns.startUs[ofA[i] ?? 0] ?? 0;
      const ready = triggerTime(trigger, a, at, ofA, i, columns);
      for (let j = 0; j < ofB.length; j++) {
        if (slotKey(ofB, j, columns.kind) !== key) continue;
        const other = columns.startUs[ofB[j] ?? 0] ?? 0;
        const otherReady = triggerTime(trigger, b, other, ofB, j, columns);
        if (overtakes(ready, at, otherReady, other)) total += slot.order;
      }
    }
    return total;
  }

  /** Takes a handler with its calls as an example. */
  learn(handled: Handled, children: readonly number[], columns: ChildColumns): void {
    const { endUs } = handled;
    this.patterns.add(children, columns.kind);
    if (children.length > 0) {
      this.#copula.add(this.#scores, this.#features(handled, children, columns));
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
      for (const one of slot.predictors) {
        one.delays.refresh();
        one.otherwise.refresh();
      }
      slot.work.refresh();
      choose(slot);
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

  #childScore(
    handled: Handled,
    children: readonly number[],
    index: number,
    columns: ChildColumns,
  ): number {
    const { startUs, endUs } = handled;
    const slot = this.#slots.get(slotKey(children, index, columns.kind));
    const at = columns.startUs[children[index] ?? 0] ?? 0;
    const trigger = slot?.chosen.trigger ?? FROM_LATEST_END;
    const event = triggerTime(trigger, handled, at, children, index, columns);
    const outlives = (columns.endUs[children[index] ?? 0] ?? 0) > endUs;
    const ending = logEnding(slot, outlives);
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
