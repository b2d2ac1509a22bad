// SPDX-License-Identifier: Apache-2.0
import type { NumberField } from "../../model/custom-protocol.ts";

/** A number of up to 8 bytes, as a double; -1 when it is not all there. */
export function readField(
  { offset, bytes: size }: NumberField,
  isLittle: boolean,
  frame: { readonly bytes: Uint8Array; readonly start: number; readonly end: number },
): number {
  const at = frame.start + offset;
  if (at + size > frame.end) return -1;
  let value = 0;
  for (let index = 0; index < size; index++) {
    value = value * 256 + (frame.bytes[isLittle ? at + size - 1 - index : at + index] ?? 0);
  }
  return value;
}
