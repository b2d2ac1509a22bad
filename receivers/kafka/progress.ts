// SPDX-License-Identifier: Apache-2.0

/** How far one partition is read and done with; records may be done in any order. */
export class PartitionProgress {
  /** Ascending, as they came. */
  readonly #open = new Set<bigint>();
  #last = -1n;
  #told = -1n;
  leaderEpoch = 0;

  /** A record came; false when it came before: it was read again after a change in the group. */
  begin(offset: bigint): boolean {
    if (offset <= this.#last) return false;
    if (this.#told < 0n) this.#told = offset;
    this.#last = offset;
    this.#open.add(offset);
    return true;
  }

  end(offset: bigint): void {
    this.#open.delete(offset);
  }

  /** The first offset that a restart needs; undefined when the broker knows it. */
  get next(): bigint | undefined {
    if (this.#last < 0n) return undefined;
    let next = this.#last + 1n;
    for (const first of this.#open) {
      next = first;
      break;
    }
    return next <= this.#told ? undefined : next;
  }

  /** The broker has taken it. */
  told(next: bigint): void {
    if (next > this.#told) this.#told = next;
  }
}
