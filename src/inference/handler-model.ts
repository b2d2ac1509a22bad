// SPDX-License-Identifier: Apache-2.0
import { DelayDensity } from "./delay-density.ts";
import { PatternCounts } from "./pattern-counts.ts";

/** What a model needs of a handled call's children: columns by child, children by start time. */
export interface ChildColumns {
  readonly kind: Int32Array;
  readonly startUs: Float64Array;
  readonly endUs: Float64Array;
}

/** The handler's own start. */
const FROM_START = 0;
/** The latest of the handler's start and its calls' ends so far. */
const FROM_LATEST_END = 1;
/** The latest start of an earlier call. */
const FROM_LATEST_START = 2;
/** From here on: the latest end (even) or start (odd) of a call of one kind. */
const FROM_KINDS = 4;
/** Kinds of calls a handler's events are tried as triggers of; more make no new triggers. */
const TRIGGER_KINDS_MAX = 6;
/** Earlier calls that are looked at for a trigger. */
const LOOK_BACK = 32;
/** Nats a sample by which another trigger must predict better than "latest end" to be believed. */
const SWITCH_MARGIN = 0.05;
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
  readonly predictors: Predictor[];
  chosen: Predictor;
  /** Calls that ended within their handler, and calls that outlived it. */
  inside: number;
  outlived: number;
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

function createSlot(triggers: readonly number[]): Slot {
  const predictors = triggers.map(createPredictor);
  const preferred = predictors.find((one) => one.trigger === FROM_LATEST_END) ?? predictors[0];
  if (preferred === undefined) throw new Error("A slot needs at least one trigger.");
  return { predictors, chosen: preferred, inside: 0, outlived: 0 };
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
  readonly #end: Slot = createSlot([FROM_LATEST_END, FROM_START]);
  /** Ends of handlers that made no call. */
  readonly #leafEnd: Slot = createSlot([FROM_START]);
  readonly #kinds: number[] = [];

  /** Natural logarithm of the likelihood that a handler has exactly these calls. */
  score(
    startUs: number,
    endUs: number,
    children: readonly number[],
    columns: ChildColumns,
  ): number {
    let total = this.patterns.logProbability(children, columns.kind);
    for (let i = 0; i < children.length; i++) {
      total += this.#childScore(startUs, endUs, children, i, columns);
    }
    const slot = children.length === 0 ? this.#leafEnd : this.#end;
    const event = triggerTime(
      slot.chosen.trigger,
      startUs,
      endUs,
      children,
      children.length,
      columns,
    );
    return total + logLikelihood(slot.chosen, startUs, endUs, event);
  }

  /** What adding the last of `children` contributes, before later calls are known. */
  prefixGain(
    startUs: number,
    endUs: number,
    children: readonly number[],
    columns: ChildColumns,
  ): number {
    return (
      this.patterns.logContinues(children, columns.kind) +
      this.#childScore(startUs, endUs, children, children.length - 1, columns)
    );
  }

  /** Takes a handler with its calls as an example. */
  learn(startUs: number, endUs: number, children: readonly number[], columns: ChildColumns): void {
    this.patterns.add(children, columns.kind);
    for (let i = 0; i < children.length; i++) {
      const child = children[i] ?? 0;
      this.#knowKind(columns.kind[child] ?? 0);
      const at = columns.startUs[child] ?? 0;
      const slot = this.#slotFor(children, i, columns);
      if ((columns.endUs[child] ?? 0) > endUs) slot.outlived += 1;
      else slot.inside += 1;
      slot.inside *= 1 - 1 / FORGET_SAMPLES;
      slot.outlived *= 1 - 1 / FORGET_SAMPLES;
      this.#learnEvent(slot, startUs, at, children, i, columns);
    }
    const slot = children.length === 0 ? this.#leafEnd : this.#end;
    this.#learnEvent(slot, startUs, endUs, children, children.length, columns);
  }

  /** Makes what was learnt count in `score`. */
  refresh(): void {
    this.patterns.refresh();
    for (const slot of [...this.#slots.values(), this.#end, this.#leafEnd]) {
      for (const one of slot.predictors) {
        one.delays.refresh();
        one.otherwise.refresh();
      }
      choose(slot);
    }
  }

  /** For people: the event each call and the end follow. */
  describe(kindName: (kind: number) => string): string[] {
    const lines: string[] = [];
    for (const [key, slot] of this.#slots) {
      const name = `${kindName(key >> 1)}${(key & 1) === 1 ? " (again)" : ""}`;
      lines.push(`${name} after ${triggerName(slot.chosen.trigger, kindName)}`);
    }
    lines.push(`end after ${triggerName(this.#end.chosen.trigger, kindName)}`);
    return lines;
  }

  #childScore(
    startUs: number,
    endUs: number,
    children: readonly number[],
    index: number,
    columns: ChildColumns,
  ): number {
    const slot = this.#slots.get(slotKey(children, index, columns.kind));
    const at = columns.startUs[children[index] ?? 0] ?? 0;
    const trigger = slot?.chosen.trigger ?? FROM_LATEST_END;
    const event = triggerTime(trigger, startUs, at, children, index, columns);
    const outlives = (columns.endUs[children[index] ?? 0] ?? 0) > endUs;
    const ending = logEnding(slot, outlives);
    if (slot === undefined) return ending + unlearnt.logDensity(at - event);
    return ending + logLikelihood(slot.chosen, startUs, at, event);
  }

  #slotFor(children: readonly number[], index: number, columns: ChildColumns): Slot {
    const key = slotKey(children, index, columns.kind);
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = createSlot([FROM_START, FROM_LATEST_END, FROM_LATEST_START, ...this.#kindTriggers()]);
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
    startUs: number,
    atUs: number,
    children: readonly number[],
    index: number,
    columns: ChildColumns,
  ): void {
    for (const one of slot.predictors) {
      const event = triggerTime(one.trigger, startUs, atUs, children, index, columns);
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
  startUs: number,
  atUs: number,
  children: readonly number[],
  index: number,
  columns: ChildColumns,
): number {
  if (trigger === FROM_START) return startUs;
  let latest = trigger === FROM_LATEST_END ? startUs : Number.NaN;
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
  const kind = kindName((trigger - FROM_KINDS) >> 1);
  return `${(trigger & 1) === 1 ? "start" : "end"} of ${kind}`;
}
