// SPDX-License-Identifier: Apache-2.0

const KEPT_MAX = 16;
const KEPT_BYTES_MAX = 2 * 1024 * 1024;
const GRAIN_BYTES = 64 * 1024;

/**
 * Buffers used again. V8 starts a full collection for every 64 MiB of buffers made, however soon
 * they die; at full load that was a third of the agent's CPU (measured).
 */
export class BufferPool {
  readonly #free: Buffer[] = [];

  /** At least `length` bytes, with old content. */
  take(length: number): Buffer {
    const index = this.#free.findIndex((buffer) => buffer.length >= length);
    const [found] = index < 0 ? [] : this.#free.splice(index, 1);
    return found ?? Buffer.allocUnsafeSlow(Math.ceil(length / GRAIN_BYTES) * GRAIN_BYTES);
  }

  /** Only when nobody reads it any more. Keeps a bounded number of bounded buffers. */
  give(buffer: Buffer): void {
    if (this.#free.length < KEPT_MAX && buffer.length <= KEPT_BYTES_MAX) this.#free.push(buffer);
  }
}
