// SPDX-License-Identifier: Apache-2.0

const NS_PER_MS = 1_000_000n;
/** Node reads the epoch clock in whole milliseconds only. */
const RESOLUTION_NS = NS_PER_MS;

export interface Clocks {
  /** CLOCK_MONOTONIC, ns. */
  readonly monotonicNs: () => bigint;
  /** CLOCK_REALTIME, ms. */
  readonly epochMs: () => number;
}

export const SYSTEM_CLOCKS: Clocks = {
  monotonicNs: () => process.hrtime.bigint(),
  epochMs: () => Date.now(),
};

/** Between two readings of the monotonic clock; in a longer time we may have been interrupted. */
const SHARP_NS = 20_000n;
const MEASURING_MAX_NS = 20n * RESOLUTION_NS;

/**
 * The epoch clock minus the monotonic clock, ns, to some microseconds: waits (busy, mostly less
 * than a millisecond, at most twenty) for the epoch clock's next millisecond, again when we were
 * interrupted just then; the sharpest look counts.
 */
export function measureOffset(clocks: Clocks): bigint {
  let previous = clocks.epochMs();
  let before = clocks.monotonicNs();
  const giveUp = before + MEASURING_MAX_NS;
  let offsetNs = BigInt(previous) * NS_PER_MS - before;
  let sharpestNs = MEASURING_MAX_NS;
  for (;;) {
    const epoch = clocks.epochMs();
    const now = clocks.monotonicNs();
    const lasted = now - before;
    if (epoch !== previous && lasted < sharpestNs) {
      offsetNs = BigInt(epoch) * NS_PER_MS - (before + now) / 2n;
      sharpestNs = lasted;
    }
    if (sharpestNs <= SHARP_NS || now > giveUp) return offsetNs;
    previous = epoch;
    before = now;
  }
}

/** Does `offsetNs` still hold? One reading tells to a millisecond, without waiting. */
export function isOffsetCurrent(clocks: Clocks, offsetNs: bigint): boolean {
  const shortest = BigInt(clocks.epochMs()) * NS_PER_MS - clocks.monotonicNs();
  const slack = RESOLUTION_NS / 4n;
  return offsetNs >= shortest - slack && offsetNs <= shortest + RESOLUTION_NS + slack;
}
