// SPDX-License-Identifier: Apache-2.0

/** Numbers in [0, 1), the same sequence for the same seed (xorshift32). */
export function createRandom(seed: number): () => number {
  let state = seed | 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}
