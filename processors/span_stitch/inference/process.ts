// SPDX-License-Identifier: Apache-2.0
import {
  type CallTimes,
  DEFAULT_INFERENCE,
  type Link,
  ServiceInference,
} from "../../../src/inference/service-inference.ts";
import type { UnlinkedReason } from "../evidence/judge.ts";
import { OpenRequests } from "./open-requests.ts";

/** A span as the inference sees it. */
export interface Call extends CallTimes {
  readonly row: number;
  readonly low: number;
  readonly high: number;
  /** Why no evidence linked it: what is said when nothing in the process caused it. */
  readonly reason: UnlinkedReason;
  /** Requests that the process had open when the call began, as the receiver counted them. */
  readonly openCount: number;
}

/** Peers by address that one operation is told apart by; with more, replicas are one peer. */
const ADDRESSES_MAX = 8;
const OPERATIONS_MAX = 1024;
/** Both spans' times are the kernel's, of one host. */
const TOLERANCE_US = 5;
/** Parts of a window: calls that come within one are due together. */
const PARTS = 4;

/**
 * The inference of one process. When a call is due is measured by when it came, not by its own times:
 * clocks that jump make wrong links unlikely, late ones impossible.
 */
export class ProcessInference {
  readonly #inference: ServiceInference<Call>;
  readonly #partMs: number;
  readonly #confidenceMin: number;
  readonly #open = new OpenRequests();
  /** Latest end of the calls that came in each of the latest parts of time, oldest first. */
  readonly #endsUs: number[] = [];
  readonly #partsAt: number[] = [];
  readonly #addresses = new Map<number, Set<number>>();

  constructor(confidenceMin: number, windowMs: number, seed: number) {
    this.#partMs = windowMs / PARTS;
    this.#confidenceMin = confidenceMin;
    this.#inference = new ServiceInference<Call>({
      ...DEFAULT_INFERENCE,
      confidenceMin,
      toleranceUs: TOLERANCE_US,
      holdUs: windowMs * 1000,
      seed,
    });
  }

  get heldCount(): number {
    return this.#inference.heldCount;
  }

  incoming(call: Call, nowMs: number): void {
    this.#note(call, nowMs);
    this.#open.add(call.startUs, call.endUs);
    this.#inference.incoming(call);
  }

  outgoing(call: Call, nowMs: number): void {
    this.#note(call, nowMs);
    this.#inference.outgoing(call);
  }

  /** An outgoing call whose incoming one is known. */
  known(call: Call, parent: number, nowMs: number): void {
    this.#note(call, nowMs);
    this.#inference.known(call, parent);
  }

  /**
   * Calls that came by `untilMs` are due: their links, or "unknown" for all when there is no time
   * left to solve them.
   */
  decide(untilMs: number, isSolved: boolean): readonly Link<Call>[] {
    let dueUs = Number.NEGATIVE_INFINITY;
    while ((this.#partsAt[0] ?? Number.POSITIVE_INFINITY) + this.#partMs <= untilMs) {
      this.#partsAt.shift();
      dueUs = Math.max(dueUs, this.#endsUs.shift() ?? dueUs);
    }
    if (dueUs === Number.NEGATIVE_INFINITY) return [];
    if (!isSolved) return this.#inference.giveUp(dueUs);
    return this.#doubted(this.#inference.decideEndedBy(dueUs));
  }

  /** The same for all calls. */
  flush(isSolved: boolean): readonly Link<Call>[] {
    this.#partsAt.length = 0;
    this.#endsUs.length = 0;
    if (!isSolved) return this.#inference.giveUp(Number.POSITIVE_INFINITY);
    return this.#doubted(this.#inference.flush());
  }

  /** A number for what a call does; with whom, while it does it with few. */
  operationOf(operation: number, address: number): number {
    if (address === 0) return operation;
    let addresses = this.#addresses.get(operation);
    if (addresses === undefined) {
      if (this.#addresses.size >= OPERATIONS_MAX) return operation;
      addresses = new Set();
      this.#addresses.set(operation, addresses);
    }
    if (addresses.size <= ADDRESSES_MAX) addresses.add(address);
    return addresses.size > ADDRESSES_MAX ? operation : operation ^ Math.imul(address, 0x9e3779b1);
  }

  /**
   * Requests that were open and whose spans have not come (they still run, or were lost) may be the
   * cause as well: no answer is surer than the share of those that came.
   */
  #doubted(links: readonly Link<Call>[]): readonly Link<Call>[] {
    return links.map((link) => {
      const { startUs, openCount } = link.call;
      const come = this.#open.at(startUs, TOLERANCE_US);
      if (come >= openCount) return link;
      const confidence = (link.confidence * come) / openCount;
      if (confidence >= this.#confidenceMin) return { ...link, confidence };
      return { ...link, confidence, parent: undefined, cause: undefined };
    });
  }

  #note(call: Call, nowMs: number): void {
    const last = this.#partsAt.length - 1;
    if (last >= 0 && nowMs - (this.#partsAt[last] ?? 0) < this.#partMs) {
      this.#endsUs[last] = Math.max(this.#endsUs[last] ?? 0, call.endUs);
      return;
    }
    this.#partsAt.push(nowMs);
    this.#endsUs.push(call.endUs);
  }
}
