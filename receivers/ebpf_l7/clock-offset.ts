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

/**
 * The epoch clock minus the monotonic clock, ns, to some microseconds: waits (busy, at most two
 * milliseconds) for the epoch clock's next millisecond.
 */
export function measureOffset(clocks: Clocks): bigint {
  const first = clocks.epochMs();
  let before = clocks.monotonicNs();
  const giveUp = before + 2n * RESOLUTION_NS;
  for (;;) {
    const epoch = clocks.epochMs();
    const now = clocks.monotonicNs();
    if (epoch !== first || now > giveUp) return BigInt(epoch) * NS_PER_MS - (before + now) / 2n;
    before = now;
  }
}

/** Does `offsetNs` still hold? One reading tells to a millisecond, without waiting. */
export function isOffsetCurrent(clocks: Clocks, offsetNs: bigint): boolean {
  const shortest = BigInt(clocks.epochMs()) * NS_PER_MS - clocks.monotonicNs();
  const slack = RESOLUTION_NS / 4n;
  return offsetNs >= shortest - slack && offsetNs <= shortest + RESOLUTION_NS + slack;
}
