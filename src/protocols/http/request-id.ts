// SPDX-License-Identifier: Apache-2.0
import {
  FIELD_B3,
  FIELD_B3_TRACE_ID,
  FIELD_CORRELATION_ID,
  FIELD_REQUEST_ID,
  FIELD_SW8,
  FIELD_UBER_TRACE_ID,
} from "./fields.ts";

const DASH = 45;
const COLON = 58;
const PERCENT = 37;
/** Longer values are cut: nobody tells requests apart behind so many bytes. */
const VALUE_BYTES_MAX = 128;
/** Shorter ones are no ids: counters, flags. */
const VALUE_BYTES_MIN = 8;

/** What names a request in several messages, the surest first: that of one field is compared only. */
const RANKS: ReadonlyMap<number, number> = new Map([
  [FIELD_REQUEST_ID, 6],
  [FIELD_CORRELATION_ID, 5],
  [FIELD_B3_TRACE_ID, 4],
  [FIELD_B3, 4],
  [FIELD_UBER_TRACE_ID, 3],
  [FIELD_SW8, 2],
]);

/** The id that a request's fields give it or its trace: a hash, its rank in the low bits; 0 is none. */
export class RequestId {
  /** A whole number below 2^53. */
  value = 0;
  #rank = 0;

  reset(): void {
    this.value = 0;
    this.#rank = 0;
  }

  /** Of the field `code`; other codes are left alone. Of two equal fields neither counts. */
  note(code: number, bytes: Uint8Array, start: number, end: number): void {
    const rank = RANKS.get(code);
    if (rank === undefined || rank < this.#rank) return;
    const isSecond = rank === this.#rank;
    this.#rank = rank;
    this.value = isSecond ? 0 : hashOf(code, rank, bytes, start, end);
  }
}

/** Of the part that stays the same from service to service. */
function hashOf(code: number, rank: number, bytes: Uint8Array, from: number, to: number): number {
  let start = from;
  let end = to;
  if (code === FIELD_B3) end = indexOf(bytes, start, end, DASH);
  // Jaeger escapes the colons in some clients.
  else if (code === FIELD_UBER_TRACE_ID) {
    end = Math.min(indexOf(bytes, start, end, COLON), indexOf(bytes, start, end, PERCENT));
  } else if (code === FIELD_SW8) {
    start = indexOf(bytes, start, end, DASH) + 1;
    end = indexOf(bytes, start, end, DASH);
  }
  end = Math.min(end, start + VALUE_BYTES_MAX);
  if (end - start < VALUE_BYTES_MIN) return 0;
  let low = 0x811c9dc5;
  let high = 0x2545f491;
  for (let at = start; at < end; at++) {
    low = Math.imul(low ^ (bytes[at] ?? 0), 0x01000193);
    high = Math.imul(high ^ (bytes[at] ?? 0) ^ low, 0x85ebca6b);
  }
  return (high >>> 14) * 2 ** 35 + (low >>> 0) * 8 + rank;
}

function indexOf(bytes: Uint8Array, start: number, end: number, byte: number): number {
  for (let at = start; at < end; at++) if (bytes[at] === byte) return at;
  return end;
}
