// SPDX-License-Identifier: Apache-2.0

/** Spans of one block: few enough that unpacking one to read some of its spans costs little. */
export const BLOCK_SPANS_MAX = 512;
export const TRACE_ID_BYTES = 16;
export const SPAN_ID_BYTES = 8;
/** Bits that say which ids a span has. */
export const HAS_TRACE_ID = 1;
export const HAS_SPAN_ID = 2;
export const HAS_PARENT_ID = 4;
const TWO_32 = 2 ** 32;

export interface TimeColumns {
  /** Microseconds since the epoch, as two halves. */
  readonly startLow: Uint32Array;
  readonly startHigh: Uint32Array;
  /** Nanoseconds. */
  readonly durationLow: Uint32Array;
  readonly durationHigh: Uint32Array;
}

/** The ids of a block's spans, which its bytes do not have. */
export interface IdColumns {
  /** Which of the three a span has. */
  readonly present: Uint8Array;
  readonly traceIds: Uint8Array;
  readonly spanIds: Uint8Array;
  readonly parentIds: Uint8Array;
}

/** All that is read of a block's spans, one value a span in the order of the block. */
export interface Columns extends TimeColumns, IdColumns {
  readonly count: number;
  /** Numbers of the segment's names. */
  readonly service: Uint16Array;
  readonly operation: Uint16Array;
  /** Bits 0 to 2: kind; bits 3 and 4: status code. */
  readonly flags: Uint8Array;
  readonly traceHash: Uint32Array;
}

export function emptyColumns(): Columns {
  const words = (): Uint32Array => new Uint32Array(BLOCK_SPANS_MAX);
  return {
    count: 0,
    service: new Uint16Array(BLOCK_SPANS_MAX),
    operation: new Uint16Array(BLOCK_SPANS_MAX),
    flags: new Uint8Array(BLOCK_SPANS_MAX),
    startLow: words(),
    startHigh: words(),
    durationLow: words(),
    durationHigh: words(),
    traceHash: words(),
    present: new Uint8Array(BLOCK_SPANS_MAX),
    traceIds: new Uint8Array(BLOCK_SPANS_MAX * TRACE_ID_BYTES),
    spanIds: new Uint8Array(BLOCK_SPANS_MAX * SPAN_ID_BYTES),
    parentIds: new Uint8Array(BLOCK_SPANS_MAX * SPAN_ID_BYTES),
  };
}

export function kindOf(flags: number): number {
  return flags & 7;
}

export function statusOf(flags: number): number {
  return (flags >> 3) & 3;
}

export function startUsAt(columns: TimeColumns, row: number): number {
  return (columns.startHigh[row] ?? 0) * TWO_32 + (columns.startLow[row] ?? 0);
}

export function durationNsAt(columns: TimeColumns, row: number): number {
  return (columns.durationHigh[row] ?? 0) * TWO_32 + (columns.durationLow[row] ?? 0);
}

/** 32 bits of a trace id: what the index by trace id is made of. */
export function traceHashOf(bytes: Uint8Array, at: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < TRACE_ID_BYTES; index++) {
    hash = Math.imul(hash ^ (bytes[at + index] ?? 0), 0x01000193);
  }
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The hash of each span's trace id; 0 of a span without one. */
export function traceHashesOf({ present, traceIds }: IdColumns): Uint32Array {
  return Uint32Array.from(present, (bits, row) =>
    (bits & HAS_TRACE_ID) === 0 ? 0 : traceHashOf(traceIds, row * TRACE_ID_BYTES),
  );
}

/** What is known of a block without reading it. */
export interface BlockSummary {
  readonly count: number;
  readonly startUsMin: number;
  readonly startUsMax: number;
  readonly durationNsMax: number;
  readonly errors: number;
}

export function summarize(
  times: TimeColumns,
  { count, errors }: Pick<BlockSummary, "count" | "errors">,
): BlockSummary {
  let startUsMin = Number.POSITIVE_INFINITY;
  let startUsMax = 0;
  let durationNsMax = 0;
  for (let row = 0; row < count; row++) {
    const startUs = startUsAt(times, row);
    if (startUs < startUsMin) startUsMin = startUs;
    if (startUs > startUsMax) startUsMax = startUs;
    const durationNs = durationNsAt(times, row);
    if (durationNs > durationNsMax) durationNsMax = durationNs;
  }
  return { count, startUsMin, startUsMax, durationNsMax, errors };
}
