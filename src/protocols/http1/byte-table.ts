// SPDX-License-Identifier: Apache-2.0

interface Entry<T> {
  readonly bytes: Uint8Array;
  readonly value: T;
  readonly next: Entry<T> | undefined;
}

/** Values by byte strings that are compared in place: a hit allocates nothing. */
export class ByteTable<T> {
  readonly #entries = new Map<number, Entry<T>>();
  #last: Entry<T> | undefined = undefined;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  find(bytes: Uint8Array, start: number, end: number): T | undefined {
    // The same one again is the usual case, and comparing is cheaper than hashing.
    const last = this.#last;
    if (last !== undefined && equals(last.bytes, bytes, start, end)) return last.value;
    let entry = this.#entries.get(hash(bytes, start, end));
    while (entry !== undefined && !equals(entry.bytes, bytes, start, end)) entry = entry.next;
    if (entry !== undefined) this.#last = entry;
    return entry?.value;
  }

  /** The caller knows that it is not there, and bounds `count`. */
  add(bytes: Uint8Array, start: number, end: number, value: T): void {
    const key = hash(bytes, start, end);
    const next = this.#entries.get(key);
    this.#entries.set(key, { bytes: bytes.slice(start, end), value, next });
    this.#count++;
  }

  clear(): void {
    this.#entries.clear();
    this.#last = undefined;
    this.#count = 0;
  }
}

/** FNV-1a, 31 bits so that it stays a small integer. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = 0x811c9dc5;
  for (let at = start; at < end; at++) value = Math.imul(value ^ (bytes[at] ?? 0), 0x01000193);
  return (value ^ (value >>> 15)) & 0x3fffffff;
}

function equals(expected: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (expected.length !== end - start) return false;
  for (let index = 0; index < expected.length; index++) {
    if (expected[index] !== bytes[start + index]) return false;
  }
  return true;
}
