// SPDX-License-Identifier: Apache-2.0

const ARENA_BYTES = 65_536;
const EMPTY = new Uint8Array(0);

/**
 * The byte arrays that held spans stand in, counted by reference: the chunks of batches as they
 * came, and arenas into which what waits long is moved so that it does not keep whole chunks.
 */
export class Sources {
  readonly #bytes: Uint8Array[] = [EMPTY];
  readonly #references: number[] = [0];
  readonly #free: number[] = [];
  #arena = 0;
  #arenaUsed = 0;
  #heldBytes = 0;

  /** Sum of the arrays that are referred to. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  bytes(source: number): Uint8Array {
    return this.#bytes[source] ?? EMPTY;
  }

  /** With one reference, the caller's. */
  add(bytes: Uint8Array): number {
    const source = this.#free.pop() ?? this.#bytes.length;
    this.#bytes[source] = bytes;
    this.#references[source] = 1;
    this.#heldBytes += bytes.length;
    return source;
  }

  retain(source: number): number {
    this.#references[source] = (this.#references[source] ?? 0) + 1;
    return source;
  }

  release(source: number): void {
    const left = (this.#references[source] ?? 0) - 1;
    this.#references[source] = left;
    if (left > 0) return;
    this.#heldBytes -= this.bytes(source).length;
    this.#bytes[source] = EMPTY;
    this.#free.push(source);
  }

  /**
   * Copies a range into an arena. Returns the arena, with a reference for the caller; the copy
   * starts at `copiedAt`.
   */
  move(source: number, start: number, end: number): number {
    const length = end - start;
    const bytes = this.bytes(source).subarray(start, end);
    if (length > ARENA_BYTES / 4) {
      this.copiedAt = 0;
      return this.add(bytes.slice());
    }
    if (this.#arena === 0 || this.#arenaUsed + length > ARENA_BYTES) {
      if (this.#arena !== 0) this.release(this.#arena);
      this.#arena = this.add(new Uint8Array(ARENA_BYTES));
      this.#arenaUsed = 0;
    }
    this.copiedAt = this.#arenaUsed;
    this.bytes(this.#arena).set(bytes, this.#arenaUsed);
    this.#arenaUsed += length;
    return this.retain(this.#arena);
  }
  copiedAt = 0;

  /** Gives the arena up when nothing else stands in it. */
  trim(): void {
    if (this.#arena === 0 || this.#references[this.#arena] !== 1) return;
    this.release(this.#arena);
    this.#arena = 0;
  }
}
