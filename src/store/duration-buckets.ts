// SPDX-License-Identifier: Apache-2.0

/** Eight buckets an octave from 1 µs to 19 hours: a quantile is right to 6 %. */
export const DURATION_BUCKETS = 288;
const FIRST_EXPONENT = 10;
const TWO_32 = 2 ** 32;

/** The bucket of a duration of nanoseconds, given as two halves. */
export function bucketOf(low: number, high: number): number {
  if (high === 0 && low < 1024) return 0;
  const exponent = high === 0 ? 31 - Math.clz32(low) : 63 - Math.clz32(high);
  const eighth = Math.floor((high * TWO_32 + low) / 2 ** (exponent - 3)) & 7;
  const bucket = (exponent - FIRST_EXPONENT) * 8 + eighth;
  return Math.min(bucket, DURATION_BUCKETS - 1);
}

/** Nanoseconds in the middle of a bucket. */
function middleOf(bucket: number): number {
  const exponent = FIRST_EXPONENT + (bucket >> 3);
  return 2 ** exponent * (1 + ((bucket & 7) + 0.5) / 8);
}

/** The duration below which a share `q` of what was counted lies, ns; 0 of nothing. */
export function quantileNs(buckets: Uint32Array, q: number): number {
  let total = 0;
  for (const count of buckets) total += count;
  if (total === 0) return 0;
  const rank = Math.min(Math.ceil(q * total), total);
  let seen = 0;
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    seen += buckets[bucket] ?? 0;
    if (seen >= rank) return Math.round(middleOf(bucket));
  }
  return 0;
}
