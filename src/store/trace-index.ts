// SPDX-License-Identifier: Apache-2.0
import type { FileReads } from "./file-reads.ts";

const ENTRIES_READ = 2_048;
const TWO_32 = 2 ** 32;

/** Where a sealed segment's index by trace id stands: `count` hashes, then as many blocks. */
export interface IndexPlace {
  readonly at: number;
  readonly count: number;
}

/** Blocks that the index names for a hash, ascending. Reads a few pages. */
export function blocksOfHash(file: FileReads, place: IndexPlace, hash: number): number[] {
  const found: number[] = [];
  let entry = firstEntry(file, place, hash);
  while (entry < place.count) {
    const count = Math.min(64, place.count - entry);
    const hashes = file.read(place.at + 4 * entry, 4 * count);
    const blocks = file.read(place.at + 4 * place.count + 2 * entry, 2 * count);
    for (let index = 0; index < count; index++) {
      if (4 * index >= hashes.length || 2 * index >= blocks.length) return found;
      if (hashes.readUInt32LE(4 * index) !== hash) return found;
      found.push(blocks.readUInt16LE(2 * index));
    }
    entry += count;
  }
  return found;
}

/** The first entry whose hash is not smaller. Hashes are spread evenly, so the first guess is near. */
function firstEntry(file: FileReads, { at, count }: IndexPlace, hash: number): number {
  let low = 0;
  let high = count;
  let from = Math.floor((hash / TWO_32) * count) - ENTRIES_READ / 2;
  while (low < high) {
    from = Math.max(low, Math.min(from, high - 1));
    const hashes = file.read(at + 4 * from, 4 * Math.min(ENTRIES_READ, high - from));
    const read = Math.floor(hashes.length / 4);
    if (read === 0) return count;
    if (hashes.readUInt32LE(0) >= hash) high = from;
    else if (hashes.readUInt32LE(4 * (read - 1)) < hash) low = from + read;
    else return from + lowerBound(hashes, hash);
    from = low + ((high - low) >> 1) - ENTRIES_READ / 2;
  }
  return low;
}

function lowerBound(hashes: Buffer, hash: number): number {
  let low = 0;
  let high = Math.floor(hashes.length / 4);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (hashes.readUInt32LE(4 * middle) < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}
