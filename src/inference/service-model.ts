// SPDX-License-Identifier: Apache-2.0
import { HandlerModel } from "./handler-model.ts";

/** Operations told apart, incoming and outgoing each; further ones share the last number. */
const OPERATIONS_MAX = 1024;
/** Least share of calls without a parent, and the share before anything is known. */
const ORPHAN_SHARE_MIN = 0.0001;
const ORPHAN_SHARE_BEFORE = 0.0001;
const FORGET_CALLS = 1000;
/** Share of hints that are right before anything is learnt, its weight in examples, and its bounds. */
const HINT_BEFORE = 0.9;
const HINT_WEIGHT = 20;
const HINT_MIN = 0.05;
const HINT_MAX = 0.995;
const HINT_KINDS = 16;
/** Handlers of each place that must be seen before a join is believed, and its exceptions. */
const JOIN_EXAMPLES = 20;
const JOIN_EXCEPTIONS = 0.2;

/** Place of an incoming call among those of its trace in one service: the only one, */
export const ROLE_ALONE = 0;
/** the last to end, which in a join is the one that goes on, */
export const ROLE_LAST = 1;
/** or another. */
export const ROLE_NOT_LAST = 2;
const ROLES = 3;

/** All that is learnt of one service: a model an incoming operation. Bounded, forgets. */
export class ServiceModel {
  readonly #numbers = new Map<string | number, number>();
  readonly #names: string[] = [];
  readonly #handlers = new Map<number, HandlerModel>();
  readonly #callers = new Map<number, { share: number; count: number }>();
  readonly #skewsUs = new Map<number, number>();
  readonly #orphanShares = new Map<number, number>();
  readonly #hints = new Map<number, { share: number; count: number }>();
  /** First examples have been learnt. */
  taught = false;
  /** Handlers that it has seen. */
  examples = 0;

  /** The number of an operation's name, given on first use. */
  numberOf(operation: string | number): number {
    const known = this.#numbers.get(operation);
    if (known !== undefined) return known;
    if (this.#names.length >= OPERATIONS_MAX) return OPERATIONS_MAX - 1;
    const number = this.#names.push(String(operation)) - 1;
    this.#numbers.set(operation, number);
    return number;
  }

  nameOf(number: number): string {
    return this.#names[number] ?? "other";
  }

  handler(operation: number, role: number = ROLE_ALONE): HandlerModel {
    const joins = role === ROLE_LAST && this.#joins(operation);
    const key = joins ? ROLES * OPERATIONS_MAX : ROLES * operation + role;
    let handler = this.#handlers.get(key);
    if (handler === undefined) {
      handler = new HandlerModel();
      this.#handlers.set(key, handler);
    }
    return handler;
  }

  /** Takes note of whether a handler made calls at all, by its place in its trace. */
  learnRole(operation: number, role: number, called: boolean): void {
    this.examples++;
    const key = ROLES * operation + role;
    const rate = this.#callers.get(key) ?? { share: 0, count: 0 };
    rate.count++;
    const weight = Math.max(1 / rate.count, 1 / FORGET_CALLS);
    rate.share += ((called ? 1 : 0) - rate.share) * weight;
    this.#callers.set(key, rate);
  }

  /**
   * Whether the last of a trace's calls goes on for all of them. What it then does does not
   * depend on which of them it is: all such handlers share one model.
   */
  #joins(operation: number): boolean {
    const last = this.#callers.get(ROLES * operation + ROLE_LAST);
    const others = this.#callers.get(ROLES * operation + ROLE_NOT_LAST);
    if (last === undefined || others === undefined) return false;
    if (Math.min(last.count, others.count) < JOIN_EXAMPLES) return false;
    return last.share > 1 - JOIN_EXCEPTIONS && others.share < JOIN_EXCEPTIONS;
  }

  /** By how much the clock that timed a kind of outgoing calls is ahead, µs. */
  skewUs(kind: number): number {
    return this.#skewsUs.get(kind) ?? 0;
  }

  setSkew(kind: number, skewUs: number): void {
    this.#skewsUs.set(kind, skewUs);
  }

  /** Share of a kind of outgoing calls that no incoming call caused. */
  orphanShare(kind: number): number {
    return Math.max(ORPHAN_SHARE_MIN, this.#orphanShares.get(kind) ?? ORPHAN_SHARE_BEFORE);
  }

  /**
   * Takes note of a call that began while some handler was open, or while none was. Only the
   * latter are known to have no parent; inferred ones are not learnt from, or doubt would feed
   * on itself.
   */
  learnOrphan(kind: number, alone: boolean): void {
    const share = this.#orphanShares.get(kind) ?? ORPHAN_SHARE_BEFORE;
    this.#orphanShares.set(kind, share + ((alone ? 1 : 0) - share) / FORGET_CALLS);
  }

  /**
   * By how many nats the parent that a hint names is likelier than each of the `others`: a hint is
   * right as often as such ones were, else it says nothing of who it is.
   */
  hintNats(kind: number, hintKind: number, others: number): number {
    const learnt = this.#hints.get(HINT_KINDS * kind + hintKind)?.share ?? HINT_BEFORE;
    const share = Math.min(HINT_MAX, Math.max(HINT_MIN, learnt));
    return Math.log((share * others) / (1 - share));
  }

  /** Takes note of whether a hint named the parent. */
  learnHint(kind: number, hintKind: number, isRight: boolean): void {
    const key = HINT_KINDS * kind + hintKind;
    const hint = this.#hints.get(key) ?? { share: HINT_BEFORE, count: HINT_WEIGHT };
    hint.count = Math.min(FORGET_CALLS, hint.count + 1);
    hint.share += ((isRight ? 1 : 0) - hint.share) / hint.count;
    this.#hints.set(key, hint);
  }

  refresh(): void {
    for (const handler of this.#handlers.values()) handler.refresh();
  }

  /** The learnt call graph in words, a line an event. */
  describe(): string[] {
    return [...this.#handlers].flatMap(([key, handler]) => {
      const pooled = key === ROLES * OPERATIONS_MAX;
      const name = pooled ? "any" : this.nameOf(Math.floor(key / ROLES));
      const role =
        ["", " (last of its trace)", " (not last of its trace)"][
          pooled ? ROLE_LAST : key % ROLES
        ] ?? "";
      const lines = handler.describe((kind) => this.nameOf(kind));
      return lines.map((line) => `${name}${role}: ${line}`);
    });
  }
}
