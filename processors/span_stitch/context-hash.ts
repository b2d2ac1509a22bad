// SPDX-License-Identifier: Apache-2.0
import { contextWord } from "./key.ts";

const WORDS = 6;

/** 64 bits that stand for a trace context in one process; never 0. */
export class ContextHash {
  low = 0;
  high = 0;

  /** `keyAt` is where the span's `stitch.key` field starts. */
  update(pid: number, bytes: Uint8Array, keyAt: number): void {
    let low = pid ^ 0x2545f491;
    let high = Math.imul(pid, 0x9e3779b1);
    for (let word = 0; word < WORDS; word++) {
      const value = contextWord(bytes, keyAt, word * 4);
      low = Math.imul(low ^ value, 0x85ebca6b);
      low ^= low >>> 13;
      high = Math.imul(high ^ value ^ (low << 1), 0xc2b2ae35);
      high ^= high >>> 16;
    }
    this.low = low >>> 0;
    this.high = (high | 1) >>> 0;
  }
}
