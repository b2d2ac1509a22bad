// SPDX-License-Identifier: Apache-2.0
import type { DataRecord } from "../../model/protocol.ts";
import { BODY_CHUNKED, BODY_UNKNOWN } from "./body.ts";

export const TAIL_BYTES = 8;

/** How many of the call's last bytes are worth reading: they may hold the end of a chunked body. */
export function tailBytes(record: DataRecord, rest: number, kind: number): number {
  if (record.tailStart < 0 || (kind !== BODY_CHUNKED && kind !== BODY_UNKNOWN)) return 0;
  const count = Math.min(rest, TAIL_BYTES);
  const end = record.tailStart + TAIL_BYTES;
  // All zero is how a tail that could not be read arrives.
  for (let at = end - count; at < end; at++) if (record.bytes[at] !== 0) return count;
  return 0;
}
