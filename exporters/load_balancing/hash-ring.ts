// SPDX-License-Identifier: Apache-2.0
import { crc32 } from "node:zlib";

const POSITIONS_PER_ENDPOINT = 100;

/**
 * A consistent hash: the same key goes to the same endpoint, and an endpoint that comes or goes
 * moves only its share of the keys. The order of the endpoints does not matter.
 */
export class HashRing {
  readonly endpoints: readonly string[];
  readonly #positions: Uint32Array;
  /** Index into `endpoints` of each position. */
  readonly #owners: Uint16Array;

  /** At most 65,535 endpoints; twice the same counts once. */
  constructor(endpoints: readonly string[]) {
    this.endpoints = [...new Set(endpoints)].sort();
    const all = this.endpoints.flatMap((endpoint, owner) =>
      Array.from({ length: POSITIONS_PER_ENDPOINT }, (_, index) => ({
        position: mixed(crc32(`${endpoint}#${index}`)),
        owner,
      })),
    );
    all.sort((a, b) => a.position - b.position || a.owner - b.owner);
    this.#positions = Uint32Array.from(all, ({ position }) => position);
    this.#owners = Uint16Array.from(all, ({ owner }) => owner);
  }

  /** Index of the key's endpoint, -1 when there are none. A latin1 text is its bytes. */
  ownerOf(key: string): number {
    const positions = this.#positions;
    if (positions.length === 0) return -1;
    const wanted = mixed(crc32(Buffer.from(key, "latin1")));
    let low = 0;
    let high = positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((positions[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return this.#owners[low === positions.length ? 0 : low] ?? -1;
  }
}

/** A CRC of similar texts has similar bits; this spreads them (the finaliser of MurmurHash3). */
function mixed(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
