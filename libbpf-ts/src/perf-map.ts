// SPDX-License-Identifier: Apache-2.0

/** Code that a runtime made, by its own account. */
export interface PerfMapEntry {
  readonly start: number;
  readonly bytes: number;
  readonly name: string;
}

/** A map of more lines than this is read up to there. */
const ENTRIES_MAX = 2_000_000;
/** Entries that may begin before the one that covers an address; runtimes nest few. */
const WALK_MAX = 64;

/**
 * The functions of a `/tmp/perf-<pid>.map`: a line each of start and size in hexadecimal, and the
 * name. JDK 17 writes the start with `0x`, all others without.
 */
export class PerfMap {
  readonly #entries: readonly PerfMapEntry[];

  private constructor(entries: readonly PerfMapEntry[]) {
    this.#entries = entries;
  }

  /** Lines that are none are left out. */
  static parse(text: string): PerfMap {
    const entries: PerfMapEntry[] = [];
    const line = /^(?:0x)?([0-9a-f]{1,16}) (?:0x)?([0-9a-f]{1,16}) (.+)$/gim;
    for (const [, start = "", bytes = "", name = ""] of text.matchAll(line)) {
      entries.push({ start: Number.parseInt(start, 16), bytes: Number.parseInt(bytes, 16), name });
      if (entries.length >= ENTRIES_MAX) {
        break;
      }
    }
    // Stable: of two entries of one start the later one, which replaced the other, comes last.
    return new PerfMap(entries.sort((left, right) => left.start - right.start));
  }

  find(address: number): PerfMapEntry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.start ?? 0) <= address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (let index = low - 1; index >= 0 && index >= low - WALK_MAX; index--) {
      const entry = this.#entries[index];
      if (entry !== undefined && address < entry.start + entry.bytes) {
        return entry;
      }
    }
    return undefined;
  }
}
