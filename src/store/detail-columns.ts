// SPDX-License-Identifier: Apache-2.0
import {
  type Columns,
  HAS_PARENT_ID,
  HAS_SPAN_ID,
  HAS_TRACE_ID,
  type IdColumns,
  SPAN_ID_BYTES,
  type TimeColumns,
  TRACE_ID_BYTES,
} from "./columns.ts";

const WORD_COLUMNS = 4;
const ID_BYTES = 1 + TRACE_ID_BYTES + 2 * SPAN_ID_BYTES;
/** Of one span in section 1, unpacked. */
export const DETAIL_BYTES: number = 4 * WORD_COLUMNS + ID_BYTES;

/** What a span that was found is told of. */
export interface DetailColumns extends TimeColumns {
  /** Undefined in blocks of format 1, whose bytes have the ids. */
  readonly ids: IdColumns | undefined;
}

/** Section 1 of a block before compression. */
export function encodeDetails(columns: Columns): Uint8Array {
  const { count, startLow, startHigh, durationLow, durationHigh } = columns;
  const bytes = new Uint8Array(DETAIL_BYTES * count);
  let at = 0;
  for (const column of [startLow, startHigh, durationLow, durationHigh]) {
    for (let shift = 0; shift < 32; shift += 8) {
      for (let row = 0; row < count; row++) bytes[at++] = (column[row] ?? 0) >>> shift;
    }
  }
  const put = (column: Uint8Array, width: number): void => {
    bytes.set(column.subarray(0, width * count), at);
    at += width * count;
  };
  put(columns.present, 1);
  put(columns.traceIds, TRACE_ID_BYTES);
  put(columns.spanIds, SPAN_ID_BYTES);
  put(columns.parentIds, SPAN_ID_BYTES);
  return bytes;
}

/** Undefined when the section is not one that `encodeDetails` made of so many spans. */
export function decodeDetails(section: Uint8Array, count: number): DetailColumns | undefined {
  if (section.length !== DETAIL_BYTES * count) return undefined;
  let at = 4 * WORD_COLUMNS * count;
  const take = (width: number): Uint8Array => {
    const column = section.subarray(at, at + width * count);
    at += width * count;
    return column;
  };
  const ids = {
    present: take(1),
    traceIds: take(TRACE_ID_BYTES),
    spanIds: take(SPAN_ID_BYTES),
    parentIds: take(SPAN_ID_BYTES),
  };
  return {
    startLow: joinedColumn(section, 0, count),
    startHigh: joinedColumn(section, 1, count),
    durationLow: joinedColumn(section, 2, count),
    durationHigh: joinedColumn(section, 3, count),
    ids,
  };
}

/** Column `index` of u32 that lie byte-wise: all lowest bytes first, then the next ones. */
export function joinedColumn(section: Uint8Array, index: number, count: number): Uint32Array {
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
}

/** Ids of a row in hex; "" of what it does not have. */
export function idsAt(
  { present, traceIds, spanIds, parentIds }: IdColumns,
  row: number,
): { readonly traceId: string; readonly spanId: string; readonly parentSpanId: string } {
  const bits = present[row] ?? 0;
  return {
    traceId: (bits & HAS_TRACE_ID) === 0 ? "" : hexAt(traceIds, row, TRACE_ID_BYTES),
    spanId: (bits & HAS_SPAN_ID) === 0 ? "" : hexAt(spanIds, row, SPAN_ID_BYTES),
    parentSpanId: (bits & HAS_PARENT_ID) === 0 ? "" : hexAt(parentIds, row, SPAN_ID_BYTES),
  };
}

function hexAt(column: Uint8Array, row: number, width: number): string {
  return Buffer.from(column.buffer, column.byteOffset + row * width, width).toString("hex");
}
