// SPDX-License-Identifier: Apache-2.0
// Blocks as version 1 of the format has them; docs/store-format.md. Read only.
import { type DetailColumns, joinedColumn } from "./detail-columns.ts";
import type { SearchColumns } from "./search-columns.ts";

const BLOCK_SPANS_MAX = 2048;
const SEARCH_BYTES = 5;
const WORD_COLUMNS = 5;
const HASH_COLUMN = 4;
const NONE = new Uint8Array(0);

/** Section 0, unpacked: each span is a set of its own. */
export function decodeSearch1(section: Uint8Array): SearchColumns | undefined {
  if (section.length < 4) return undefined;
  // A copy at offset 0: wider arrays must be aligned, and a Buffer's `slice` copies nothing.
  const bytes = new Uint8Array(section);
  const count = new DataView(bytes.buffer).getUint32(0, true);
  if (count > BLOCK_SPANS_MAX || bytes.length !== 4 + SEARCH_BYTES * count) return undefined;
  return {
    count,
    service: new Uint16Array(bytes.buffer, 4, count),
    operation: new Uint16Array(bytes.buffer, 4 + 2 * count, count),
    flags: new Uint8Array(bytes.buffer, 4 + 4 * count, count),
    set: Uint16Array.from({ length: count }, (_, row) => row),
    durations: undefined,
    spansBytes: 0,
    attributes: NONE,
  };
}

/** Section 1, unpacked. */
export function decodeDetails1(section: Uint8Array, count: number): DetailColumns | undefined {
  if (section.length !== 4 * WORD_COLUMNS * count) return undefined;
  return {
    startLow: joinedColumn(section, 0, count),
    startHigh: joinedColumn(section, 1, count),
    durationLow: joinedColumn(section, 2, count),
    durationHigh: joinedColumn(section, 3, count),
    ids: undefined,
  };
}

/** The hash of each span's trace id, which stands in section 1. */
export function traceHashes1(section: Uint8Array, count: number): Uint32Array {
  return joinedColumn(section, HASH_COLUMN, count);
}
