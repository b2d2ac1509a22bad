// SPDX-License-Identifier: Apache-2.0
import {
  AttributeHasher,
  type AttributeSink,
  keyHashOf,
  type MessageRange,
  pairHashesOf,
  secondHash,
} from "./attribute-hash.ts";

const BITS_START = 2 ** 17;
const BITS_MIN = 512;
/** Bits of one hash. */
const PROBES = 4;
/** Of all bits; with four probes one wrong answer in eighty. */
const SHARE_MAX = 1 / 3;
const RECENT = 1024;
const NONE = new Uint8Array(0);

/** Gathers which attributes the spans of a block have: a Bloom filter of as many bits as it needs. */
export class AttributeFilterBuilder implements AttributeSink {
  readonly #words = new Uint32Array(BITS_START / 32);
  /** Hashes that are in already, each in the place that it may have: most come again and again. */
  readonly #recent = new Uint32Array(RECENT);
  readonly #hasher = new AttributeHasher(this);
  #isUnknown = false;
  #isEmpty = true;

  /** Those in `field` of the message in `range`. */
  read(bytes: Uint8Array, range: MessageRange, field: number): void {
    this.#hasher.read(bytes, range, field);
  }

  attribute(keyHash: number, pairHash: number): void {
    this.#isEmpty = false;
    this.#set(keyHash);
    this.#set(pairHash);
  }

  unknown(): void {
    this.#isUnknown = true;
  }

  /** The filter, and begins anew; empty when nothing can be said. */
  take(): Uint8Array {
    const isSilent = this.#isUnknown;
    const filter = isSilent ? NONE : this.#folded();
    if (!this.#isEmpty) {
      this.#words.fill(0);
      this.#recent.fill(0);
    }
    this.#isUnknown = false;
    this.#isEmpty = true;
    return filter;
  }

  #set(hash: number): void {
    if (hash !== 0 && this.#recent[hash % RECENT] === hash) return;
    this.#recent[hash % RECENT] = hash;
    const words = this.#words;
    const step = secondHash(hash);
    let bit = hash;
    for (let probe = 0; probe < PROBES; probe++) {
      const at = (bit >>> 5) & (BITS_START / 32 - 1);
      words[at] = (words[at] ?? 0) | (1 << (bit & 31));
      bit = (bit + step) >>> 0;
    }
  }

  /** Halves laid upon each other while there is room. */
  #folded(): Uint8Array {
    let words = this.#words.slice();
    while (words.length * 32 > BITS_MIN) {
      const half = words.length / 2;
      const folded = words.slice(0, half);
      let bits = 0;
      for (let at = 0; at < half; at++) {
        const word = (folded[at] ?? 0) | (words[half + at] ?? 0);
        folded[at] = word;
        bits += bitsIn(word);
      }
      if (bits > half * 32 * SHARE_MAX) break;
      words = folded;
    }
    return new Uint8Array(words.buffer);
  }
}

/** An attribute that is looked for; without a value the key is enough. */
export interface WantedAttribute {
  readonly key: string;
  readonly value?: string | undefined;
}

/** What to look for in filters: one list for each attribute, of which one entry is enough. */
export type WantedHashes = readonly (readonly number[])[];

/** Attributes of which a filter cannot tell are left out. */
export function wantedHashes(attributes: readonly WantedAttribute[]): WantedHashes {
  return attributes.flatMap(({ key, value }) => {
    const keyHash = keyHashOf(key);
    const hashes =
      value === undefined
        ? keyHash === undefined
          ? undefined
          : [keyHash]
        : pairHashesOf(key, value);
    return hashes === undefined ? [] : [hashes];
  });
}

/** False when the block has no span with all of these attributes; true says nothing. */
export function mayHaveAttributes(filter: Uint8Array, wanted: WantedHashes): boolean {
  if (filter.length === 0) return true;
  return wanted.every((hashes) => hashes.some((hash) => hasHash(filter, hash)));
}

/** Says of single spans what `mayHaveAttributes` says of blocks, without decoding them. */
export class AttributeMatcher implements AttributeSink {
  readonly #wanted: WantedHashes;
  readonly #hasher = new AttributeHasher(this);
  /** A bit for each wanted attribute that was met. */
  #met = 0;

  constructor(wanted: WantedHashes) {
    this.#wanted = wanted;
  }

  /** The wanted attributes among those in `field` of the message, as bits. */
  read(bytes: Uint8Array, range: MessageRange, field: number): number {
    this.#met = 0;
    if (this.#wanted.length > 0) this.#hasher.read(bytes, range, field);
    return this.#met;
  }

  /** Are these all? */
  isAll(met: number): boolean {
    return met === 2 ** this.#wanted.length - 1;
  }

  attribute(keyHash: number, pairHash: number): void {
    const wanted = this.#wanted;
    for (let index = 0; index < wanted.length; index++) {
      const hashes = wanted[index] ?? [];
      if (hashes.includes(pairHash) || hashes.includes(keyHash)) this.#met |= 1 << index;
    }
  }

  unknown(): void {
    this.#met = 2 ** this.#wanted.length - 1;
  }
}

function hasHash(filter: Uint8Array, hash: number): boolean {
  const mask = filter.length * 8 - 1;
  const step = secondHash(hash);
  let bit = hash;
  for (let probe = 0; probe < PROBES; probe++) {
    const at = bit & mask;
    if (((filter[at >>> 3] ?? 0) & (1 << (at & 7))) === 0) return false;
    bit = (bit + step) >>> 0;
  }
  return true;
}

function bitsIn(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
