// SPDX-License-Identifier: Apache-2.0

/** Spans of one block. */
export const BLOCK_SPANS_MAX = 2048;
const TWO_32 = 2 ** 32;
const FILTER_BYTES = 5;
const VALUE_COLUMNS = 5;

/** What is searched of a block's spans, one value a span in the order of the block. */
export interface FilterColumns {
  readonly count: number;
  /** Numbers of the segment's names. */
  readonly service: Uint16Array;
  readonly operation: Uint16Array;
  /** Bits 0 to 2: kind; bits 3 and 4: status code. */
  readonly flags: Uint8Array;
}

export interface ValueColumns {
  /** Microseconds since the epoch, as two halves. */
  readonly startLow: Uint32Array;
  readonly startHigh: Uint32Array;
  /** Nanoseconds. */
  readonly durationLow: Uint32Array;
  readonly durationHigh: Uint32Array;
  readonly traceHash: Uint32Array;
}

export interface Columns extends FilterColumns, ValueColumns {}

export function kindOf(flags: number): number {
  return flags & 7;
}

export function statusOf(flags: number): number {
  return (flags >> 3) & 3;
}

export function startUsAt(columns: ValueColumns, row: number): number {
  return (columns.startHigh[row] ?? 0) * TWO_32 + (columns.startLow[row] ?? 0);
}

export function durationNsAt(columns: ValueColumns, row: number): number {
  return (columns.durationHigh[row] ?? 0) * TWO_32 + (columns.durationLow[row] ?? 0);
}

/** 32 bits of a trace id: what the index by trace id is made of. */
export function traceHashOf(bytes: Uint8Array, at: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < 16; index++) {
    hash = Math.imul(hash ^ (bytes[at + index] ?? 0), 0x01000193);
  }
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** Section 0 of a block before compression: the count, services, operations, flags. */
export function encodeFilter({ count, service, operation, flags }: FilterColumns): Uint8Array {
  const bytes = new Uint8Array(4 + FILTER_BYTES * count);
  new DataView(bytes.buffer).setUint32(0, count, true);
  bytes.set(bytesOf(service, count), 4);
  bytes.set(bytesOf(operation, count), 4 + 2 * count);
  bytes.set(flags.subarray(0, count), 4 + 4 * count);
  return bytes;
}

/** Section 1 of a block before compression: each column's lowest bytes first, then the next. */
export function encodeValues(columns: ValueColumns, count: number): Uint8Array {
  const bytes = new Uint8Array(4 * VALUE_COLUMNS * count);
  let at = 0;
  for (const column of valueColumns(columns)) {
    for (let shift = 0; shift < 32; shift += 8) {
      for (let row = 0; row < count; row++) bytes[at++] = (column[row] ?? 0) >>> shift;
    }
  }
  return bytes;
}

/** Undefined when the section is not one that `encodeFilter` made. */
export function decodeFilter(section: Uint8Array): FilterColumns | undefined {
  if (section.length < 4) return undefined;
  // A copy at offset 0: wider arrays must be aligned, and a Buffer's `slice` copies nothing.
  const bytes = new Uint8Array(section);
  const count = new DataView(bytes.buffer).getUint32(0, true);
  if (count > BLOCK_SPANS_MAX || bytes.length !== 4 + FILTER_BYTES * count) return undefined;
  return {
    count,
    service: new Uint16Array(bytes.buffer, 4, count),
    operation: new Uint16Array(bytes.buffer, 4 + 2 * count, count),
    flags: new Uint8Array(bytes.buffer, 4 + 4 * count, count),
  };
}

/** Undefined when the section is not one that `encodeValues` made of so many spans. */
export function decodeValues(section: Uint8Array, count: number): ValueColumns | undefined {
  if (section.length !== 4 * VALUE_COLUMNS * count) return undefined;
  const column = (index: number): Uint32Array => {
    const values = new Uint32Array(count);
    const from = 4 * index * count;
    for (let row = 0; row < count; row++) {
      const at = from + row;
      values[row] =
        (section[at] ?? 0) |
        ((section[at + count] ?? 0) << 8) |
        ((section[at + 2 * count] ?? 0) << 16) |
        ((section[at + 3 * count] ?? 0) << 24);
    }
    return values;
  };
  return {
    startLow: column(0),
    startHigh: column(1),
    durationLow: column(2),
    durationHigh: column(3),
    traceHash: column(4),
  };
}

/** What is known of a block without reading it. */
export interface BlockSummary {
  readonly count: number;
  readonly startUsMin: number;
  readonly startUsMax: number;
  readonly durationNsMax: number;
  readonly errors: number;
}

export function summarize(columns: Columns): BlockSummary {
  let startUsMin = Number.POSITIVE_INFINITY;
  let startUsMax = 0;
  let durationNsMax = 0;
  let errors = 0;
  for (let row = 0; row < columns.count; row++) {
    const startUs = startUsAt(columns, row);
    if (startUs < startUsMin) startUsMin = startUs;
    if (startUs > startUsMax) startUsMax = startUs;
    const durationNs = durationNsAt(columns, row);
    if (durationNs > durationNsMax) durationNsMax = durationNs;
    if (statusOf(columns.flags[row] ?? 0) === 2) errors++;
  }
  return { count: columns.count, startUsMin, startUsMax, durationNsMax, errors };
}

function valueColumns(columns: ValueColumns): readonly Uint32Array[] {
  const { startLow, startHigh, durationLow, durationHigh, traceHash } = columns;
  return [startLow, startHigh, durationLow, durationHigh, traceHash];
}

/** The format is little-endian, as the machines are that the agent runs on. */
function bytesOf(column: Uint16Array, count: number): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, 2 * count);
}
