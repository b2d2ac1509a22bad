// SPDX-License-Identifier: Apache-2.0
import { readFixed32 } from "../pdata/wire.ts";

const TWO_32 = 2 ** 32;

/** Whole microseconds of nanoseconds in two halves: exact, where a double of nanoseconds is not. */
export function microsecondsOf(low: number, high: number): number {
  const rest = high % 1000;
  return ((high - rest) / 1000) * TWO_32 + Math.floor((rest * TWO_32 + low) / 1000);
}

/** Microseconds of the OTLP time (fixed64) at an offset; 0 when the offset is below 0. */
export function microsecondsAt(bytes: Uint8Array, at: number): number {
  return at < 0 ? 0 : microsecondsOf(readFixed32(bytes, at), readFixed32(bytes, at + 4));
}
