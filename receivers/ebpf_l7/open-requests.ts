// SPDX-License-Identifier: Apache-2.0

/** Of what is open, requests of the last one to two of these count. */
const GENERATION_NS = 5e9;
/**
 * Requests that are not known are taken to last no longer than so many of the longest that are, and no
 * longer than that in any case.
 */
const UNSETTLED_TIMES = 4;
const UNSETTLED_MAX_NS = 10e9;

/**
 * How many server requests of a process may be the cause of what it writes now: those that are open,
 * but for long polls and streams, and one more as long as there may be some that are not known: read
 * before the process was watched, or the first on a connection from before. Times are the kernel's, ns.
 */
export class OpenRequests {
  #generation = 0;
  #young = 0;
  #old = 0;
  #unknownNs = Number.NEGATIVE_INFINITY;
  #longestNs = 0;
  /** Connections whose last request was read and not understood, and when; oldest first. */
  readonly #unread = new Map<object, number>();

  /** A request has been read; gives what `close` wants to know of it. */
  open(nowNs: number): number {
    this.#age(nowNs);
    this.#young++;
    return this.#generation;
  }

  /** The request that `open` gave `generation` for is answered or given up. */
  close(generation: number): void {
    if (generation === this.#generation) this.#young--;
    else if (generation === this.#generation - 1) this.#old--;
  }

  /** A request was answered after that time. */
  took(durationNs: number): void {
    if (durationNs > this.#longestNs) this.#longestNs = durationNs;
  }

  /** There may be requests that nobody knows of. */
  foundUnknown(nowNs: number): void {
    this.#unknownNs = nowNs;
  }

  /** A request came on `connection` that could not be followed; `isAnswered`: its response did. */
  unread(connection: object, isAnswered: boolean, nowNs: number): void {
    this.foundUnknown(nowNs);
    this.#unread.delete(connection);
    if (!isAnswered) this.#unread.set(connection, nowNs);
  }

  /** From here on its requests are followed: what was before is answered. */
  follows(connection: object): void {
    this.#unread.delete(connection);
  }

  /** Requests that are surely there and not followed. */
  unreadCount(nowNs: number): number {
    for (const [connection, sinceNs] of this.#unread) {
      if (nowNs - sinceNs < UNSETTLED_MAX_NS) break;
      this.#unread.delete(connection);
    }
    return this.#unread.size;
  }

  isUnsettled(nowNs: number): boolean {
    const longestNs = this.#longestNs === 0 ? UNSETTLED_MAX_NS : UNSETTLED_TIMES * this.#longestNs;
    return nowNs - this.#unknownNs < Math.min(longestNs, UNSETTLED_MAX_NS);
  }

  count(nowNs: number): number {
    this.#age(nowNs);
    const unknown = Math.max(this.unreadCount(nowNs), this.isUnsettled(nowNs) ? 1 : 0);
    return this.#young + this.#old + unknown;
  }

  #age(nowNs: number): void {
    const generation = Math.floor(nowNs / GENERATION_NS);
    if (generation <= this.#generation) return;
    this.#old = generation === this.#generation + 1 ? this.#young : 0;
    this.#young = 0;
    this.#generation = generation;
  }
}
