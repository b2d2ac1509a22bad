// SPDX-License-Identifier: Apache-2.0

interface Interval {
  readonly startUs: number;
  readonly endUs: number;
}

/** Offsets beyond it are not looked for, µs. */
const OFFSET_MAX_US = 1_000_000;
/** An offset is believed when it explains so much larger a share of the calls than none does. */
const GAIN_MIN = 0.3;
const CALLS_MIN = 20;
/** Enough calls for an estimate; more cost time and add nothing. */
const CALLS_MAX = 300;
/** Handlers tried for one call, on either side. */
const HANDLERS_MAX = 250;

/**
 * By how much the clock that timed `calls` is ahead of the handlers' clock, µs: the offset at
 * which most calls lie within some handler; 0 unless another one explains far more of them.
 * `handlers` are in order of start. Among many concurrent handlers every offset fits, and 0 is said.
 */
export function clockSkewUs(handlers: readonly Interval[], calls: readonly Interval[]): number {
  const some = calls.slice(0, CALLS_MAX);
  if (some.length < CALLS_MIN) return 0;
  // A call fits a handler at the offsets from `low` to `high`; where most overlap is the answer.
  const edges: { offsetUs: number; depth: number }[] = [];
  let fitting = 0;
  let depthAtZero = 0;
  for (const call of some) {
    let fitsAtZero = false;
    for (const handler of near(handlers, call.startUs)) {
      const low = call.endUs - handler.endUs;
      const high = call.startUs - handler.startUs;
      if (low > high) continue;
      if (low <= 0 && high >= 0) {
        fitsAtZero = true;
        depthAtZero++;
      }
      edges.push({ offsetUs: low, depth: 1 }, { offsetUs: high, depth: -1 });
    }
    if (fitsAtZero) fitting++;
  }
  if (fitting > (1 - GAIN_MIN) * some.length) return 0;
  edges.sort((a, b) => a.offsetUs - b.offsetUs || b.depth - a.depth);
  let depth = 0;
  let deepest = depthAtZero + GAIN_MIN * some.length;
  let skewUs = 0;
  for (const [index, edge] of edges.entries()) {
    depth += edge.depth;
    if (depth <= deepest) continue;
    deepest = depth;
    skewUs = (edge.offsetUs + (edges[index + 1]?.offsetUs ?? edge.offsetUs)) / 2;
  }
  return skewUs;
}

/** The handlers that begin nearest to a moment, at most `OFFSET_MAX_US` before or after. */
function near(handlers: readonly Interval[], startUs: number): readonly Interval[] {
  let low = 0;
  let high = handlers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((handlers[middle]?.startUs ?? 0) < startUs) low = middle + 1;
    else high = middle;
  }
  const found = handlers.slice(Math.max(0, low - HANDLERS_MAX), low + HANDLERS_MAX);
  return found.filter((one) => Math.abs(one.startUs - startUs) <= OFFSET_MAX_US);
}
