// SPDX-License-Identifier: Apache-2.0
import { native } from "./native.ts";

/**
 * Memory shared with the kernel, as an ArrayBuffer. It is unmapped by `close`, which makes every
 * view of it empty, or when the last view of it is collected.
 *
 * Writing to a mapping that was not asked to be writable ends the process with SIGSEGV: no
 * JavaScript check stands in between.
 */
export class MappedMemory {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  /** `bytesUsed` leaves out the padding to a whole page. */
  constructor(buffer: ArrayBuffer, bytesUsed: number) {
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer, 0, bytesUsed);
    this.view = new DataView(buffer, 0, bytesUsed);
  }

  get isClosed(): boolean {
    return this.buffer.detached;
  }

  /** Unmaps now. Views that are still held become empty. A second call does nothing. */
  close(): void {
    if (!this.buffer.detached) {
      native.detachBuffer(this.buffer);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
