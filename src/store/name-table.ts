// SPDX-License-Identifier: Apache-2.0

/** Of a name that got no number: the table is full, or the name is too long. */
export const NAME_OTHER = 0xffff;
const NAMES_MAX = 0xfff0;
const NAME_BYTES_MAX = 256;
const SLOTS_START = 1024;
const decoder = new TextDecoder();

/** Could a name have no number in a table of so many names? */
export function mayLackNumber(name: string, names: number): boolean {
  return names >= NAMES_MAX || Buffer.byteLength(name) > NAME_BYTES_MAX;
}

/**
 * Numbers for names, by their UTF-8 bytes: looking up a known name makes no string. Numbers
 * count from 0 in the order of arrival.
 */
export class NameTable {
  #slots = new Int32Array(SLOTS_START).fill(-1);
  #hashes = new Uint32Array(SLOTS_START / 2);
  #starts = new Uint32Array(SLOTS_START / 2 + 1);
  #arena = new Uint8Array(16 * 1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The name's number, a new one when it is new, or `NAME_OTHER`. */
  intern(bytes: Uint8Array, start: number, stop: number): number {
    const length = stop - start;
    if (length > NAME_BYTES_MAX) return NAME_OTHER;
    let hash = 0x811c9dc5;
    for (let at = start; at < stop; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    hash = (hash ^ (hash >>> 15)) >>> 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const id = this.#slots[slot] ?? -1;
      if (id < 0) break;
      if (this.#hashes[id] === hash && this.#isSame(id, bytes, start, length)) return id;
      slot = (slot + 1) & mask;
    }
    if (this.#count >= NAMES_MAX) return NAME_OTHER;
    return this.#add(slot, hash, bytes.subarray(start, stop));
  }

  /** Text with numbers from `first` to below `stop`. */
  names(first: number, stop: number): string[] {
    const names: string[] = [];
    for (let id = first; id < stop; id++) names.push(this.name(id));
    return names;
  }

  name(id: number): string {
    return decoder.decode(this.#arena.subarray(this.#starts[id], this.#starts[id + 1]));
  }

  #isSame(id: number, bytes: Uint8Array, start: number, length: number): boolean {
    const from = this.#starts[id] ?? 0;
    if ((this.#starts[id + 1] ?? 0) - from !== length) return false;
    for (let at = 0; at < length; at++) {
      if (this.#arena[from + at] !== bytes[start + at]) return false;
    }
    return true;
  }

  #add(slot: number, hash: number, name: Uint8Array): number {
    const id = this.#count++;
    const start = this.#starts[id] ?? 0;
    if (start + name.length > this.#arena.length) {
      const larger = new Uint8Array(this.#arena.length * 2);
      larger.set(this.#arena);
      this.#arena = larger;
    }
    this.#arena.set(name, start);
    this.#starts[id + 1] = start + name.length;
    this.#hashes[id] = hash;
    this.#slots[slot] = id;
    if (this.#count === this.#hashes.length) this.#grow();
    return id;
  }

  #grow(): void {
    const hashes = new Uint32Array(this.#hashes.length * 2);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const starts = new Uint32Array(hashes.length + 1);
    starts.set(this.#starts);
    this.#starts = starts;
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let id = 0; id < this.#count; id++) {
      let slot = (hashes[id] ?? 0) & mask;
      while ((slots[slot] ?? -1) >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#slots = slots;
  }
}
