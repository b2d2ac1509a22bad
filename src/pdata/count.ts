// SPDX-License-Identifier: Apache-2.0
import type { Signal } from "../model/batch.ts";
import { inMask, itemPath } from "./levels.ts";
import { FieldReader, malformedAt, WIRE_BYTES } from "./wire.ts";

/** One reader a level: walking allocates nothing. The walk is synchronous and does not re-enter. */
const READERS: readonly FieldReader[] = Array.from({ length: 8 }, () => new FieldReader());

/**
 * Counts the spans, data points or log records of a request body without decoding it: a container's
 * fields are read, an item's are skipped.
 *
 * Returns the count, or a number below zero when the bytes are malformed on the way: `offsetOf`
 * gives the offset.
 */
export function countItems(signal: Signal, chunk: Uint8Array): number {
  return countIn({ bytes: chunk, path: itemPath(signal) }, 0, 0, chunk.length);
}

interface Walk {
  readonly bytes: Uint8Array;
  readonly path: readonly number[];
}

/** Counts the items inside one message that stands at `level` of the path. */
export function countBelow(walk: Walk, level: number, start: number, end: number): number {
  return countIn(walk, level, start, end);
}

function countIn(walk: Walk, level: number, start: number, end: number): number {
  const { bytes, path } = walk;
  const reader = READERS[level] ?? new FieldReader();
  const mask = path[level] ?? 0;
  const isLast = level === path.length - 1;
  reader.reset(bytes, start, end);
  let items = 0;
  while (reader.next()) {
    if (!inMask(mask, reader.field)) continue;
    if (reader.wireType !== WIRE_BYTES) return malformedAt(reader.tagAt);
    if (isLast) {
      items++;
      continue;
    }
    const below = countIn(walk, level + 1, reader.start, reader.stop);
    if (below < 0) return below;
    items += below;
  }
  return reader.errorAt < 0 ? items : malformedAt(reader.errorAt);
}
