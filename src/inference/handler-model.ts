// SPDX-License-Identifier: Apache-2.0
import { DelayDensity } from "./delay-density.ts";
import { FEATURES_MAX, GaussianCopula } from "./gaussian-copula.ts";
import { PatternCounts } from "./pattern-counts.ts";

/** What a model needs of a handled call's children: columns by child, children by start time. */
export interface ChildColumns {
  readonly kind: Int32Array;
  readonly startUs: Float64Array;
  readonly endUs: Float64Array;
  /** How long the callee worked, where known, else how long the call took. */
  readonly workUs: Float64Array;
}

/** An incoming call. */
export interface Handled {
  readonly startUs: number;
  readonly endUs: number;
  /** Latest end of the other incoming calls known to belong to the same trace; NaN without. */
  readonly joinUs: number;
}

/** The handler's own start. */
const FROM_START = 0;
/** The latest of the handler's start and its calls' ends so far. */
const FROM_LATEST_END = 1;
/** The latest start of an earlier call. */
const FROM_LATEST_START = 2;
/** The latest end of another handler of the same trace in this service. */
const FROM_JOIN = 3;
/** From here on: the latest end (even) or start (odd) of a call of one kind. */
const FROM_KINDS = 4;
/** Kinds of calls a handler's events are tried as triggers of; more make no new triggers. */
const TRIGGER_KINDS_MAX = 6;
/** Earlier calls that are looked at for a trigger. */
const LOOK_BACK = 32;
/** Nats a sample by which another trigger must predict better than "latest end" to be believed. */
const SWITCH_MARGIN = 0.05;
/** Nats against overtaking before anything is learnt, and how fast they are learnt. */
const ORDER_BEFORE = 0.5;
const ORDER_RATE = 0.05;
const ORDER_MAX = 8;
const TRUST_BEFORE = 0.9;
const TRUST_RATE = 0.02;
const TRUST_MIN = 0.4;
const TRUST_MAX = 1.1;
/** Calls that outlive their handler to each that does not, before anything is learnt. */
const OUTLIVED_BEFORE = 0.005;
/** A likelihood's weight falls to a third within as many samples. */
const FORGET_SAMPLES = 500;

/** One event to predict (a call's start or the handler's end) from one earlier event. */
interface Predictor {
  readonly trigger: number;
  readonly delays: DelayDensity;
  /** Delays from the handler's start when the trigger did not happen. */
  readonly otherwise: DelayDensity;
  present: number;
  absent: number;
  /** Mean logarithm of the density that it gave to samples before it learnt them. */
  score: number;
  scored: number;
}

interface Slot {
  /** Number of the slot's delay among a handler's joint features, its call's work comes next; -1 beyond them. */
  readonly feature: number;
  readonly work: DelayDensity;
  readonly predictors: Predictor[];
  chosen: Predictor;
  /** Calls that ended within their handler, and calls that outlived it. */
  inside: number;
  outlived: number;
  /** Nats against events that overtake each other while both wait: 0 for none, large for a queue. */
  order: number;
  /** Weight of a delay's evidence: below 1 where concurrent handlers are slow together. */
  trust: number;
}

function createPredictor(trigger: number): Predictor {
  return {
    trigger,
    delays: new DelayDensity(),
    otherwise: new DelayDensity(),
    present: 0,
    absent: 0,
    score: 0,
    scored: 0,
  };
}

function createSlot(triggers: readonly number[], feature: number): Slot {
  const predictors = triggers.map(createPredictor);
  const preferred = predictors.find((one) => one.trigger === FROM_LATEST_END) ?? predictors[0];
  if (preferred === undefined) throw new Error("A slot needs at least one trigger.");
  return { feature, work: new DelayDensity(), predictors, chosen: preferred, inside: 0, outlived: 0, order: ORDER_BEFORE, trust: TRUST_BEFORE };
}

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
    const event = triggerTime(this.#end.chosen.trigger, handled, endUs, children, children.length, columns);
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
      const { trigger } = slot.chosen;
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
        const readyUs = triggerTime(slot.chosen.trigger, one, atUs, children, i, columns);
        if (Number.isNaN(readyUs)) continue;
        addWait(waits, slot, { readyUs, atUs });
      }
      const atUs = one.endUs;
      const readyUs = triggerTime(this.#end.chosen.trigger, one, atUs, children, children.length, columns);
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
      lines.push(`${name} after ${after}, order ${slot.order.toFixed(1)}, trust ${slot.trust.toFixed(1)}`);
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
      const general = [FROM_START, FROM_LATEST_END, FROM_LATEST_START, FROM_JOIN];
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

const unlearnt = new DelayDensity();

/** From when an event could happen until it did. */
interface Wait {
  readonly readyUs: number;
  readonly atUs: number;
}

function addWait(waits: Map<Slot, Wait[]>, slot: Slot, wait: Wait): void {
  const row = waits.get(slot);
  if (row === undefined) waits.set(slot, [wait]);
  else row.push(wait);
}

function learnPair(
  slot: Slot,
  readyA: number,
  atA: number,
  readyB: number,
  atB: number,
): void {
  const { delays } = slot.chosen;
  const early = Math.min(atA, atB);
  const late = Math.max(atA, atB);
  if (early < readyB) return;
  const inOrder = delays.logDensity(early - readyA) + delays.logDensity(late - readyB);
  const crossed = delays.logDensity(late - readyA) + delays.logDensity(early - readyB);
  const gain = Math.max(-5, Math.min(5, inOrder - crossed));
  const share = 1 / (1 + Math.exp(-(slot.order + slot.trust * gain)));
  const error = (atA < atB ? 1 : 0) - share;
  slot.order = Math.max(0, Math.min(ORDER_MAX, slot.order + ORDER_RATE * error));
  const trust = slot.trust + TRUST_RATE * error * gain;
  slot.trust = Math.max(TRUST_MIN, Math.min(TRUST_MAX, trust));
}

function overtakes(readyA: number, atA: number, readyB: number, atB: number): boolean {
  if (readyA >= atB || readyB >= atA) return false;
  return (readyA - readyB) * (atA - atB) < 0;
}

function logEnding(slot: Slot | undefined, outlives: boolean): number {
  const inside = (slot?.inside ?? 0) + 1;
  const outlived = (slot?.outlived ?? 0) + OUTLIVED_BEFORE;
  return Math.log((outlives ? outlived : inside) / (inside + outlived));
}

function slotKey(children: readonly number[], index: number, kinds: Int32Array): number {
  const kind = kinds[children[index] ?? 0] ?? 0;
  for (let i = index - 1; i >= 0 && i >= index - LOOK_BACK; i--) {
    if (kinds[children[i] ?? 0] === kind) return 2 * kind + 1;
  }
  return 2 * kind;
}

function delayScore(one: Predictor, startUs: number, atUs: number, eventUs: number): number {
  if (Number.isNaN(eventUs)) return one.otherwise.score(atUs - startUs);
  return one.delays.score(atUs - eventUs);
}

/** The likelihood's logarithm, its distance from the usual weighted by the slot's trust. */
function evidence(slot: Slot, startUs: number, atUs: number, eventUs: number): number {
  const usual = slot.chosen.score;
  return usual + slot.trust * (logLikelihood(slot.chosen, startUs, atUs, eventUs) - usual);
}

function logLikelihood(one: Predictor, startUs: number, atUs: number, eventUs: number): number {
  const all = one.present + one.absent + 1;
  if (Number.isNaN(eventUs)) {
    return Math.log((one.absent + 0.5) / all) + one.otherwise.logDensity(atUs - startUs);
  }
  return Math.log((one.present + 0.5) / all) + one.delays.logDensity(atUs - eventUs);
}

/** When the trigger of the event at `atUs` happened; NaN when it did not. */
function triggerTime(
  trigger: number,
  handled: Handled,
  atUs: number,
  children: readonly number[],
  index: number,
  columns: ChildColumns,
): number {
  if (trigger === FROM_START) return handled.startUs;
  if (trigger === FROM_JOIN) {
    const joinUs = Math.max(handled.joinUs, handled.startUs);
    return joinUs <= atUs ? joinUs : Number.NaN;
  }
  let latest = trigger === FROM_LATEST_END ? handled.startUs : Number.NaN;
  const stop = Math.max(0, index - LOOK_BACK);
  for (let i = index - 1; i >= stop; i--) {
    const child = children[i] ?? 0;
    if (trigger === FROM_LATEST_START) return columns.startUs[child] ?? 0;
    if (trigger >= FROM_KINDS) {
      if (columns.kind[child] !== (trigger - FROM_KINDS) >> 1) continue;
      if ((trigger & 1) === 1) return columns.startUs[child] ?? 0;
    }
    const endUs = columns.endUs[child] ?? 0;
    if (endUs <= atUs && !(endUs <= latest)) latest = endUs;
  }
  return latest;
}

function choose(slot: Slot): void {
  let best = slot.chosen;
  let bestScore = Number.NEGATIVE_INFINITY;
  const samples = Math.max(...slot.predictors.map((one) => one.scored));
  for (const one of slot.predictors) {
    if (one.scored < Math.min(16, samples)) continue;
    const preference = one.trigger === FROM_LATEST_END ? SWITCH_MARGIN : 0;
    if (one.score + preference <= bestScore) continue;
    best = one;
    bestScore = one.score + preference;
  }
  slot.chosen = best;
}

function triggerName(trigger: number, kindName: (kind: number) => string): string {
  if (trigger === FROM_START) return "start";
  if (trigger === FROM_LATEST_END) return "latest end";
  if (trigger === FROM_LATEST_START) return "latest start";
  if (trigger === FROM_JOIN) return "others of the trace";
  const kind = kindName((trigger - FROM_KINDS) >> 1);
  return `${(trigger & 1) === 1 ? "start" : "end"} of ${kind}`;
}
