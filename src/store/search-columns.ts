// SPDX-License-Identifier: Apache-2.0
import { BLOCK_SPANS_MAX, type Columns, statusOf } from "./columns.ts";

const HEADER_BYTES = 12;
const CODES_PER_OCTAVE_BITS = 10;
const FIRST_EXPONENT = 9;
const TWO_32 = 2 ** 32;
const CODE_MAX = 0xffff;

/**
 * What a search looks at first, of one block. Spans of the same service, operation, kind and status
 * are one set; the columns name the set of each span.
 */
export interface SearchColumns {
  readonly count: number;
  /** Of each set, numbers of the segment's names. */
  readonly service: Uint16Array;
  readonly operation: Uint16Array;
  /** Of each set. Bits 0 to 2: kind; bits 3 and 4: status code. */
  readonly flags: Uint8Array;
  /** Of each span: its set. */
  readonly set: Uint8Array | Uint16Array;
  /** Of each span: `durationCode`. Undefined in blocks of format 1. */
  readonly durations: Uint16Array | undefined;
  /** Bytes of the spans, unpacked; 0 where it is not known. */
  readonly spansBytes: number;
  /** Which attributes there are (`mayHaveAttributes`); empty when that is not known. */
  readonly attributes: Uint8Array;
}

/** Grows with the duration and is right to 0.1 %. Nanoseconds, as two halves. */
export function durationCode(low: number, high: number): number {
  const ns = high * TWO_32 + low;
  if (ns < 1024) return ns;
  const exponent = high === 0 ? 31 - Math.clz32(low) : 63 - Math.clz32(high);
  const mantissa = Math.floor(ns / 2 ** (exponent - CODES_PER_OCTAVE_BITS)) & 1023;
  return ((exponent - FIRST_EXPONENT) << CODES_PER_OCTAVE_BITS) | mantissa;
}

/** The code of a duration in nanoseconds; of what is out of range the nearest. */
export function durationCodeOf(ns: number): number {
  if (ns <= 0) return 0;
  if (ns >= 2 ** 63) return CODE_MAX;
  const whole = Math.floor(ns);
  return durationCode(whole % TWO_32, Math.floor(whole / TWO_32));
}

/** Spans with status error. */
export function errorsIn({ count, set, flags }: SearchColumns): number {
  let errors = 0;
  for (let row = 0; row < count; row++) {
    if (statusOf(flags[set[row] ?? 0] ?? 0) === 2) errors++;
  }
  return errors;
}

/** Section 0 of a block: read as it lies, so it is not compressed. */
export function encodeSearch(
  columns: Columns,
  { attributes, spansBytes }: Pick<SearchColumns, "attributes" | "spansBytes">,
): Uint8Array {
  const { count } = columns;
  const sets = setsOf(columns);
  const isWide = sets.keys.length > 256;
  const plan = layout(count, sets.keys.length);
  const bytes = new Uint8Array(plan.attributesAt + attributes.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, count, true);
  view.setUint16(2, sets.keys.length, true);
  view.setUint32(4, attributes.length, true);
  view.setUint32(8, spansBytes, true);
  for (const [set, row] of sets.keys.entries()) {
    view.setUint16(plan.serviceAt + 2 * set, columns.service[row] ?? 0, true);
    view.setUint16(plan.operationAt + 2 * set, columns.operation[row] ?? 0, true);
    bytes[plan.flagsAt + set] = columns.flags[row] ?? 0;
  }
  for (let row = 0; row < count; row++) {
    const set = sets.ofRow[row] ?? 0;
    if (isWide) view.setUint16(plan.setAt + 2 * row, set, true);
    else bytes[plan.setAt + row] = set;
    const code = durationCode(columns.durationLow[row] ?? 0, columns.durationHigh[row] ?? 0);
    view.setUint16(plan.durationsAt + 2 * row, code, true);
  }
  bytes.set(attributes, plan.attributesAt);
  return bytes;
}

/** Views of the section; undefined when it is none. It must start at an even address. */
export function decodeSearch(section: Uint8Array): SearchColumns | undefined {
  if (section.length < HEADER_BYTES) return undefined;
  const { buffer, byteOffset } = section;
  const view = new DataView(buffer, byteOffset, section.length);
  const count = view.getUint16(0, true);
  const sets = view.getUint16(2, true);
  const attributeBytes = view.getUint32(4, true);
  if (count > BLOCK_SPANS_MAX || sets > count) return undefined;
  const plan = layout(count, sets);
  if (section.length !== plan.attributesAt + attributeBytes) return undefined;
  return {
    count,
    service: new Uint16Array(buffer, byteOffset + plan.serviceAt, sets),
    operation: new Uint16Array(buffer, byteOffset + plan.operationAt, sets),
    flags: new Uint8Array(buffer, byteOffset + plan.flagsAt, sets),
    set:
      sets > 256
        ? new Uint16Array(buffer, byteOffset + plan.setAt, count)
        : new Uint8Array(buffer, byteOffset + plan.setAt, count),
    durations: new Uint16Array(buffer, byteOffset + plan.durationsAt, count),
    spansBytes: view.getUint32(8, true),
    attributes: section.subarray(plan.attributesAt),
  };
}

/** Numbers of two bytes stand at even offsets. */
function layout(count: number, sets: number) {
  const even = (at: number): number => at + (at & 1);
  const serviceAt = HEADER_BYTES;
  const operationAt = serviceAt + 2 * sets;
  const flagsAt = operationAt + 2 * sets;
  const setAt = even(flagsAt + sets);
  const durationsAt = even(setAt + (sets > 256 ? 2 : 1) * count);
  return {
    serviceAt,
    operationAt,
    flagsAt,
    setAt,
    durationsAt,
    attributesAt: durationsAt + 2 * count,
  };
}

interface Sets {
  /** A row of each set. */
  readonly keys: readonly number[];
  readonly ofRow: Uint16Array;
}

function setsOf({ count, service, operation, flags }: Columns): Sets {
  const known = new Map<number, number>();
  const keys: number[] = [];
  const ofRow = new Uint16Array(count);
  for (let row = 0; row < count; row++) {
    const names = (service[row] ?? 0) * 65_536 + (operation[row] ?? 0);
    const key = names * 32 + (flags[row] ?? 0);
    let set = known.get(key);
    if (set === undefined) {
      set = keys.length;
      known.set(key, set);
      keys.push(row);
    }
    ofRow[row] = set;
  }
  return { keys, ofRow };
}
