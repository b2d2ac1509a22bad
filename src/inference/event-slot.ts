// SPDX-License-Identifier: Apache-2.0
import { DelayDensity } from "./delay-density.ts";
import { FROM_LATEST_END, FROM_RELEASE } from "./triggers.ts";

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
/** The same for a release: among many concurrent calls one always ended shortly before. */
const RELEASE_MARGIN = 0.5;
/** Calls that outlive their handler to each that does not, before anything is learnt. */
const OUTLIVED_BEFORE = 0.005;
const LOG_INSIDE_BEFORE = -Math.log(1 + OUTLIVED_BEFORE);
const LOG_OUTLIVED_BEFORE = Math.log(OUTLIVED_BEFORE / (1 + OUTLIVED_BEFORE));
/** A likelihood's weight falls to a third within as many samples. */
export const FORGET_SAMPLES: number = 500;

/** One event to predict (a call's start or the handler's end) from one earlier event. */
export interface Predictor {
  readonly trigger: number;
  readonly delays: DelayDensity;
  /** Delays from the handler's start when the trigger did not happen. */
  readonly otherwise: DelayDensity;
  present: number;
  absent: number;
  /** Logarithms of their shares, as of the last refresh. */
  logPresent: number;
  logAbsent: number;
  /** Mean logarithm of the density that it gave to samples before it learnt them. */
  score: number;
  scored: number;
}

export interface Slot {
  /** Number of the slot's delay among a handler's joint features, its call's work comes next; -1 beyond them. */
  readonly feature: number;
  readonly work: DelayDensity;
  readonly predictors: Predictor[];
  chosen: Predictor;
  /** Calls that ended within their handler, and calls that outlived it. */
  inside: number;
  outlived: number;
  /** Logarithms of their shares, as of the last refresh. */
  logInside: number;
  logOutlived: number;
  /** Nats against events that overtake each other while both wait: 0 for none, large for a queue. */
  order: number;
  /** Weight of a delay's evidence: below 1 where concurrent handlers are slow together. */
  trust: number;
}

export function createPredictor(trigger: number): Predictor {
  return {
    trigger,
    delays: new DelayDensity(),
    otherwise: new DelayDensity(),
    present: 0,
    absent: 0,
    logPresent: Math.log(0.5),
    logAbsent: Math.log(0.5),
    score: 0,
    scored: 0,
  };
}

export function createSlot(triggers: readonly number[], feature: number): Slot {
  const predictors = triggers.map(createPredictor);
  const preferred = predictors.find((one) => one.trigger === FROM_LATEST_END) ?? predictors[0];
  if (preferred === undefined) throw new Error("A slot needs at least one trigger.");
  return {
    feature,
    work: new DelayDensity(),
    predictors,
    chosen: preferred,
    inside: 0,
    outlived: 0,
    logInside: LOG_INSIDE_BEFORE,
    logOutlived: LOG_OUTLIVED_BEFORE,
    order: ORDER_BEFORE,
    trust: TRUST_BEFORE,
  };
}

/** From when an event could happen until it did. */
export interface Wait {
  readonly readyUs: number;
  readonly atUs: number;
}

export function addWait(waits: Map<Slot, Wait[]>, slot: Slot, wait: Wait): void {
  const row = waits.get(slot);
  if (row === undefined) waits.set(slot, [wait]);
  else row.push(wait);
}

export function learnPair(
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
  const released = slot.chosen.trigger === FROM_RELEASE;
  const gain = released ? 0 : Math.max(-5, Math.min(5, inOrder - crossed));
  const share = 1 / (1 + Math.exp(-(slot.order + slot.trust * gain)));
  const error = (atA < atB ? 1 : 0) - share;
  slot.order = Math.max(0, Math.min(ORDER_MAX, slot.order + ORDER_RATE * error));
  const trust = slot.trust + TRUST_RATE * error * gain;
  slot.trust = Math.max(TRUST_MIN, Math.min(TRUST_MAX, trust));
}

/** When a call became ready says who is next; when a connection became free does not. */
export function readyTrigger(slot: Slot): number {
  const { trigger } = slot.chosen;
  return trigger === FROM_RELEASE ? FROM_LATEST_END : trigger;
}

export function overtakes(readyA: number, atA: number, readyB: number, atB: number): boolean {
  if (readyA >= atB || readyB >= atA) return false;
  return (readyA - readyB) * (atA - atB) < 0;
}

export function logEnding(slot: Slot | undefined, outlives: boolean): number {
  if (slot === undefined) return outlives ? LOG_OUTLIVED_BEFORE : LOG_INSIDE_BEFORE;
  return outlives ? slot.logOutlived : slot.logInside;
}

/** The normal score that the last call of `evidence` found for its delay. */
let lastScore = 0;

export function lastDelayScore(): number {
  return lastScore;
}

/** The likelihood's logarithm, its distance from the usual weighted by the slot's trust. */
export function evidence(slot: Slot, startUs: number, atUs: number, eventUs: number): number {
  const { chosen } = slot;
  const absent = Number.isNaN(eventUs);
  const density = absent ? chosen.otherwise : chosen.delays;
  const delayUs = atUs - (absent ? startUs : eventUs);
  const position = density.position(delayUs);
  lastScore = density.scoreAt(position);
  const log =
    (absent ? chosen.logAbsent : chosen.logPresent) + density.logDensityAt(position, delayUs);
  return chosen.score + slot.trust * (log - chosen.score);
}

export function logLikelihood(
  one: Predictor,
  startUs: number,
  atUs: number,
  eventUs: number,
): number {
  if (Number.isNaN(eventUs)) return one.logAbsent + one.otherwise.logDensity(atUs - startUs);
  return one.logPresent + one.delays.logDensity(atUs - eventUs);
}

/** Makes what was learnt count: rebuilds densities and believes the best trigger. */
export function refreshSlot(slot: Slot): void {
  for (const one of slot.predictors) {
    one.delays.refresh();
    one.otherwise.refresh();
    const all = one.present + one.absent + 1;
    one.logPresent = Math.log((one.present + 0.5) / all);
    one.logAbsent = Math.log((one.absent + 0.5) / all);
  }
  slot.work.refresh();
  const inside = slot.inside + 1;
  const outlived = slot.outlived + OUTLIVED_BEFORE;
  slot.logInside = Math.log(inside / (inside + outlived));
  slot.logOutlived = Math.log(outlived / (inside + outlived));
  choose(slot);
}

function choose(slot: Slot): void {
  let best = slot.chosen;
  let bestScore = Number.NEGATIVE_INFINITY;
  const samples = Math.max(...slot.predictors.map((one) => one.scored));
  for (const one of slot.predictors) {
    if (one.scored < Math.min(16, samples)) continue;
    let preference = 0;
    if (one.trigger === FROM_LATEST_END) preference = SWITCH_MARGIN;
    if (one.trigger === FROM_RELEASE) preference = -RELEASE_MARGIN;
    if (one.score + preference <= bestScore) continue;
    best = one;
    bestScore = one.score + preference;
  }
  slot.chosen = best;
}
