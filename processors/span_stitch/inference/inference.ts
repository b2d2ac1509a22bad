// SPDX-License-Identifier: Apache-2.0
import type { Link } from "../../../src/inference/service-inference.ts";
import type { Counts } from "../counts.ts";
import type { UnlinkedReason } from "../evidence/judge.ts";
import type { Groups } from "../groups.ts";
import type { StitchKey } from "../key.ts";
import { HELD, SETTLED } from "../nodes.ts";
import type { Tables } from "../settler.ts";
import type { Hint } from "./hint.ts";
import { OperationReader } from "./operation.ts";
import { type Call, ProcessInference } from "./process.ts";

const NS_PER_US = 1000;
/** Processes that have served a request lately; the longest known is forgotten first. */
const PROCESSES_MAX = 4096;
/** A process that has served nothing for so long has no request open that could cause a call. */
const SERVED_MS = 60_000;
/** Share of a core that solving may use, and how much of it can be saved up, ms. */
const CPU_SHARE = 0.5;
const CPU_SAVED_MS = 500;
/** Time for what is left at a shutdown, ms. */
const FINISH_MS = 1000;
const TURNS_A_WINDOW = 8;
const PID_BITS = 2 ** 21;

export interface InferenceLimits {
  /** No link is made with a confidence below this, 0 to 1. */
  readonly confidenceMin: number;
  /** How long a call waits for its parent and its like, ms. */
  readonly windowMs: number;
  /** Spans in windows, of all processes. */
  readonly callsMax: number;
}

function namedBy({ low, high, kind }: Hint): { parent: number; kind: number } {
  return { parent: idOf(low, high), kind };
}

/** What was found of the client span in `row`. */
export type Answer =
  | {
      readonly kind: "parent";
      readonly row: number;
      readonly cause: number;
      readonly percent: number;
    }
  /** Some request may have caused it, which one is not sure. */
  | { readonly kind: "unsure"; readonly row: number; readonly percent: number }
  /** No request of the process did. */
  | { readonly kind: "none"; readonly row: number; readonly reason: UnlinkedReason };

export interface InferenceParts {
  readonly tables: Tables;
  readonly groups: Groups;
  readonly counts: Counts;
  readonly limits: InferenceLimits;
  readonly answer: (answer: Answer) => void;
}

interface Process {
  servedMs: number;
  inference: ProcessInference | undefined;
}

/**
 * The last evidence: parents from times alone, for client spans that nothing else links, one
 * process at a time; see docs/inference.md. A process costs nothing until it has such a span and
 * has served requests. Spans of processes at work are copied as numbers: no bytes are kept.
 */
export class Inference {
  readonly #parts: InferenceParts;
  readonly #processes = new Map<number, Process>();
  /** Those at work. */
  readonly #active = new Set<ProcessInference>();
  readonly #operation = new OperationReader();
  readonly #forced: { readonly links: readonly Link<Call>[]; readonly isSolved: boolean }[] = [];
  #held = 0;
  #lastTurnMs = Number.NEGATIVE_INFINITY;
  #budgetMs = CPU_SAVED_MS;
  #seed = 0;

  constructor(parts: InferenceParts) {
    this.#parts = parts;
  }

  /** Spans in windows. */
  get held(): number {
    return this.#held;
  }

  /** Milliseconds after which `turn` has something to do. */
  get nextTurnMs(): number {
    if (this.#active.size === 0) return Number.POSITIVE_INFINITY;
    return this.#parts.limits.windowMs / TURNS_A_WINDOW;
  }

  /** The server span in `row` has come. */
  served(row: number, pid: number, nowMs: number): void {
    const key = this.#keyOf(row, pid);
    let process = this.#processes.get(key);
    if (process === undefined) {
      if (this.#processes.size >= PROCESSES_MAX) this.#forgetOne();
      process = { servedMs: nowMs, inference: undefined };
      this.#processes.set(key, process);
    }
    process.servedMs = nowMs;
    const { inference } = process;
    if (inference === undefined) return;
    inference.incoming(this.#callOf(row, inference, "no_client", false), nowMs);
    this.#grown(inference);
  }

  /** The client span in `row` has the server span `low`, `high` as its cause. */
  known(row: number, pid: number, low: number, high: number, nowMs: number): void {
    const inference = this.#processes.get(this.#keyOf(row, pid))?.inference;
    if (inference === undefined) return;
    const call = this.#callOf(row, inference, "no_trigger", true);
    inference.known(call, idOf(low, high), nowMs);
    this.#grown(inference);
  }

  /**
   * Takes the client span in `row`, with the server span that evidence names which is not sure enough;
   * false when its process serves nothing. Answered later, once. */
  ask(
    row: number,
    key: StitchKey,
    reason: UnlinkedReason,
    hint: Hint | undefined,
    nowMs: number,
  ): boolean {
    const process = this.#processes.get(this.#keyOf(row, key.pid));
    if (process === undefined || nowMs - process.servedMs > SERVED_MS) return false;
    const { confidenceMin, windowMs } = this.#parts.limits;
    process.inference ??= new ProcessInference(confidenceMin, windowMs, ++this.#seed);
    const { inference } = process;
    this.#active.add(inference);
    const call = this.#callOf(row, inference, reason, true);
    const named = hint === undefined ? {} : { hint: namedBy(hint) };
    inference.outgoing({ ...call, openCount: key.openInProcess, ...named }, nowMs);
    this.#grown(inference);
    return true;
  }

  /** Answers what has waited long enough, and keeps the bounds. */
  turn(nowMs: number): void {
    for (const { links, isSolved } of this.#forced.splice(0)) this.#answer(links, isSolved);
    const turnMs = this.#parts.limits.windowMs / TURNS_A_WINDOW;
    if (this.#active.size === 0 || nowMs - this.#lastTurnMs < turnMs) return;
    const elapsedMs = Math.min(nowMs - this.#lastTurnMs, CPU_SAVED_MS / CPU_SHARE);
    this.#budgetMs = Math.min(CPU_SAVED_MS, this.#budgetMs + elapsedMs * CPU_SHARE);
    this.#lastTurnMs = nowMs;
    for (const inference of this.#active) {
      const isSolved = this.#budgetMs > 0;
      const held = inference.heldCount;
      const began = performance.now();
      const links = inference.decide(nowMs - this.#parts.limits.windowMs, isSolved);
      this.#budgetMs -= performance.now() - began;
      this.#held += inference.heldCount - held;
      this.#answer(links, isSolved);
      if (inference.heldCount === 0) this.#active.delete(inference);
    }
  }

  /** Answers all that is held. */
  finish(): void {
    for (const { links, isSolved } of this.#forced.splice(0)) this.#answer(links, isSolved);
    const until = performance.now() + FINISH_MS;
    for (const inference of this.#active) {
      const isSolved = performance.now() < until;
      this.#answer(inference.flush(isSolved), isSolved);
    }
    this.#active.clear();
    this.#held = 0;
  }

  #grown(inference: ProcessInference): void {
    this.#active.add(inference);
    if (++this.#held <= this.#parts.limits.callsMax) return;
    // The fullest is decided before its time, with what has come.
    let fullest = inference;
    for (const one of this.#active) if (one.heldCount > fullest.heldCount) fullest = one;
    const held = fullest.heldCount;
    const isSolved = this.#budgetMs > 0;
    const began = performance.now();
    const links = fullest.flush(isSolved);
    this.#budgetMs -= performance.now() - began;
    this.#held += fullest.heldCount - held;
    this.#parts.counts.inferenceForced.add(links.length);
    // The caller is in the middle of a span: its answers wait for the next turn.
    this.#forced.push({ links, isSolved });
  }

  #answer(links: readonly Link<Call>[], isSolved: boolean): void {
    const { counts, limits, answer } = this.#parts;
    if (!isSolved) counts.inferenceSkipped.add(links.length);
    for (const { call, cause, confidence } of links) {
      const { row } = call;
      if (!this.#isStill(call, HELD)) continue;
      const percent = Math.floor(confidence * 100);
      if (cause !== undefined && this.#isAlive(cause)) {
        answer({ kind: "parent", row, cause: cause.row, percent });
      } else if (cause === undefined && confidence >= limits.confidenceMin) {
        answer({ kind: "none", row, reason: call.reason });
      } else answer({ kind: "unsure", row, percent });
    }
  }

  /** Rows are used again: is this one still the span that it was? */
  #isStill(call: Call, state: number): boolean {
    const { nodes } = this.#parts.tables;
    return (
      nodes.state[call.row] === state &&
      nodes.idLow[call.row] === call.low &&
      nodes.idHigh[call.row] === call.high
    );
  }

  #isAlive(call: Call): boolean {
    return this.#isStill(call, HELD) || this.#isStill(call, SETTLED);
  }

  #callOf(row: number, process: ProcessInference, reason: UnlinkedReason, isOut: boolean): Call {
    const { nodes, sources } = this.#parts.tables;
    const reader = this.#operation;
    const bytes = sources.bytes(nodes.source[row] ?? 0);
    reader.read(bytes, nodes.bodyAt[row] ?? 0, nodes.bodyEnd[row] ?? 0);
    const low = nodes.idLow[row] ?? 0;
    const high = nodes.idHigh[row] ?? 0;
    return {
      row,
      low,
      high,
      reason,
      openCount: 0,
      id: idOf(low, high),
      operation: process.operationOf(reader.operation, isOut ? reader.address : 0),
      startUs: nodes.startNs(row) / NS_PER_US,
      endUs: nodes.endNs(row) / NS_PER_US,
    };
  }

  #keyOf(row: number, pid: number): number {
    const group = this.#parts.groups.get(this.#parts.tables.nodes.group[row] ?? 0);
    return (group.hash >>> 0) * PID_BITS + (pid & (PID_BITS - 1));
  }

  #forgetOne(): void {
    for (const [key, { inference }] of this.#processes) {
      if (inference !== undefined && inference.heldCount > 0) continue;
      this.#processes.delete(key);
      return;
    }
    const first = this.#processes.keys().next();
    if (first.done !== true) this.#processes.delete(first.value);
  }
}

/** 53 bits of a span's id. */
function idOf(low: number, high: number): number {
  return (low >>> 0) * PID_BITS + (high & (PID_BITS - 1));
}
