// SPDX-License-Identifier: Apache-2.0

const TWO_TO_32 = 0x100000000;

/**
 * Turns nanoseconds of the monotonic clock into nanoseconds of the epoch, as two u32 words, exactly
 * and without BigInt. The receiver sets the offset at start and again when the clock was stepped.
 */
export class EpochClock {
  #offsetLow = 0;
  #offsetHigh = 0;
  /** Result of the last `convert`. */
  low = 0;
  high = 0;

  /** `offsetNs`: the epoch clock's reading minus the monotonic clock's, taken together. */
  constructor(offsetNs: bigint) {
    this.set(offsetNs);
  }

  set(offsetNs: bigint): void {
    this.#offsetLow = Number(BigInt.asUintN(32, offsetNs));
    this.#offsetHigh = Number(BigInt.asUintN(32, offsetNs >> 32n));
  }

  /** `monotonicNs`: an integer of 0 to 2^53. */
  convert(monotonicNs: number): void {
    const high = Math.floor(monotonicNs / TWO_TO_32);
    let low = monotonicNs - high * TWO_TO_32 + this.#offsetLow;
    let carry = 0;
    if (low >= TWO_TO_32) {
      low -= TWO_TO_32;
      carry = 1;
    }
    this.low = low;
    this.high = (high + this.#offsetHigh + carry) % TWO_TO_32;
  }
}
