// SPDX-License-Identifier: Apache-2.0

const SLOTS = 1024;
const EMPTY = new Uint8Array(0);

/** Remembers what a test says of attribute keys, by their bytes: keys come again and again. */
export class KeyMemo {
  readonly #test: (key: string) => boolean;
  readonly #keys: Uint8Array[] = new Array<Uint8Array>(SLOTS).fill(EMPTY);
  readonly #results = new Uint8Array(SLOTS);

  constructor(test: (key: string) => boolean) {
    this.#test = test;
  }

  test(bytes: Uint8Array, start: number, stop: number): boolean {
    let hash = stop - start;
    for (let at = start; at < stop; at++) hash = Math.imul(hash, 31) + (bytes[at] ?? 0);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const known = this.#keys[slot] ?? EMPTY;
    if (known.length > 0 && isSame(known, bytes, start, stop)) return this.#results[slot] === 1;
    const key = bytes.slice(start, stop);
    const result = this.#test(Buffer.from(key).toString("utf8"));
    this.#keys[slot] = key;
    this.#results[slot] = result ? 1 : 0;
    return result;
  }
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, stop: number): boolean {
  if (known.length !== stop - start) return false;
  for (let at = known.length - 1; at >= 0; at--) {
    if (known[at] !== bytes[start + at]) return false;
  }
  return true;
}
