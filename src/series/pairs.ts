// SPDX-License-Identifier: Apache-2.0
import type { ProtoWriter } from "../pdata/proto-writer.ts";
import { varintBytes } from "../pdata/wire.ts";

/** One attribute of a data point. */
export interface Pair {
  readonly key: Uint8Array;
  /** An encoded AnyValue. */
  readonly value: Uint8Array;
}

/** Writes KeyValues under `tag`. */
export function writePairs(out: ProtoWriter, tag: number, pairs: readonly Pair[]): void {
  for (const { key, value } of pairs) {
    out.reserve(key.length + value.length + 32);
    const inner =
      2 + varintBytes(key.length) + key.length + varintBytes(value.length) + value.length;
    out.byte(tag);
    out.varint(inner);
    out.byte(0x0a);
    out.varint(key.length);
    out.copy(key, 0, key.length);
    out.byte(0x12);
    out.varint(value.length);
    out.copy(value, 0, value.length);
  }
}
