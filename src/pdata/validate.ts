// SPDX-License-Identifier: Apache-2.0
import { MESSAGES, type Message, messageNamed, wireTypeOf } from "./otlp-schema.ts";
import { type OtlpSignal, REQUESTS } from "./requests.ts";
import { malformedAt, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./wire.ts";

/** Deeper nesting is refused; protobuf's own libraries stop at 100, too. */
export const NESTING_MAX = 100;

/** What is known of a message's fields, by field number. */
interface Rules {
  readonly isItem: boolean;
  readonly isKeyValue: boolean;
  /** `1 << wireType` for each wire type allowed; 0 for an unknown field. */
  readonly allowed: Uint8Array;
  /** The message inside a field. */
  readonly children: (Rules | undefined)[];
  /** Wire type of the elements when a bytes field holds packed numbers, else -1. */
  readonly packed: Int8Array;
}

const FIELDS_MAX = 32;

const ITEMS: ReadonlySet<string> = new Set([
  "Span",
  "LogRecord",
  "NumberDataPoint",
  "HistogramDataPoint",
  "ExponentialHistogramDataPoint",
  "SummaryDataPoint",
]);

function compile(message: Message, done: Map<string, Rules>): Rules {
  const known = done.get(message.name);
  if (known !== undefined) return known;
  const compiled: Rules = {
    isItem: ITEMS.has(message.name),
    isKeyValue: message.name === "KeyValue",
    allowed: new Uint8Array(FIELDS_MAX),
    children: new Array<Rules | undefined>(FIELDS_MAX).fill(undefined),
    packed: new Int8Array(FIELDS_MAX).fill(-1),
  };
  done.set(message.name, compiled);
  for (const field of message.fields) {
    const wireType = wireTypeOf(field);
    const packs = field.repeated && wireType !== WIRE_BYTES;
    const inner = MESSAGES.get(field.message);
    compiled.allowed[field.number] = (1 << wireType) | (packs ? 1 << WIRE_BYTES : 0);
    compiled.packed[field.number] = packs ? wireType : -1;
    if (inner !== undefined) compiled.children[field.number] = compile(inner, done);
  }
  return compiled;
}

const COMPILED = new Map<string, Rules>();

const ROOTS: Readonly<Record<OtlpSignal, Rules>> = {
  traces: compile(messageNamed(REQUESTS.traces.request), COMPILED),
  metrics: compile(messageNamed(REQUESTS.metrics.request), COMPILED),
  logs: compile(messageNamed(REQUESTS.logs.request), COMPILED),
};

/**
 * Checks the structure of a whole request body, attributes included, so that one sender's bad
 * bytes cannot spoil the batch they are joined to. Unknown fields are let through.
 *
 * Returns the count of spans, data points or log records, or `malformedAt(offset)`.
 */
export function validateRequest(signal: OtlpSignal, body: Uint8Array): number {
  return checkMessage(ROOTS[signal], { bytes: body, depth: 0 }, 0, body.length);
}

interface Walk {
  readonly bytes: Uint8Array;
  depth: number;
}

/** Every byte of every request goes through here: no reader object, no allocation. */
function checkMessage(rules: Rules, walk: Walk, start: number, end: number): number {
  if (walk.depth >= NESTING_MAX) return malformedAt(start);
  const { bytes } = walk;
  let items = rules.isItem ? 1 : 0;
  let at = start;
  while (at < end) {
    const tagAt = at;
    let tag = bytes[at++] ?? 0;
    if (tag >= 0x80) {
      tag &= 0x7f;
      for (let shift = 7; ; shift += 7) {
        const next = bytes[at++] ?? 0;
        tag += (next & 0x7f) * 2 ** shift;
        if (next < 0x80) break;
        if (shift > 21) return malformedAt(tagAt);
      }
      if (tag > 0xffffffff) return malformedAt(tagAt);
    }
    const field = tag >>> 3;
    const wireType = tag & 7;
    const allowed = field < FIELDS_MAX ? (rules.allowed[field] ?? 0) : 0;
    if (field === 0 || (allowed !== 0 && (allowed & (1 << wireType)) === 0)) {
      return malformedAt(tagAt);
    }
    if (wireType === WIRE_BYTES) {
      let length = bytes[at++] ?? 0;
      if (length >= 0x80) {
        length &= 0x7f;
        for (let shift = 7; ; shift += 7) {
          const next = bytes[at++] ?? 0;
          length += (next & 0x7f) * 2 ** shift;
          if (next < 0x80) break;
          if (shift > 21) return malformedAt(tagAt);
        }
      }
      const stop = at + length;
      if (stop > end) return malformedAt(tagAt);
      if (allowed !== 0) {
        const below = checkInside(rules, walk, field, at, stop);
        if (below < 0) return below;
        items += below;
      }
      at = stop;
    } else if (wireType === WIRE_FIXED64) at += 8;
    else if (wireType === WIRE_FIXED32) at += 4;
    else if (wireType === WIRE_VARINT) {
      const limit = at + VARINT_BYTES_MAX;
      while (at < limit && (bytes[at] ?? 0) >= 0x80) at++;
      if (at++ === limit) return malformedAt(tagAt);
    } else return malformedAt(tagAt);
    if (at > end) return malformedAt(tagAt);
  }
  return items;
}

const VARINT_BYTES_MAX = 10;

/** The message or the packed numbers in a bytes field; 0 for text. */
function checkInside(rules: Rules, walk: Walk, field: number, start: number, stop: number): number {
  const child = rules.children[field];
  if (child === undefined) {
    const packed = rules.packed[field] ?? -1;
    return packed < 0 || isPacked(walk.bytes, packed, start, stop) ? 0 : malformedAt(start);
  }
  if (child.isKeyValue && isPlainAttribute(walk.bytes, start, stop)) return 0;
  walk.depth++;
  const items = checkMessage(child, walk, start, stop);
  walk.depth--;
  return items;
}

const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;

/**
 * A KeyValue as everybody writes it: a short key, then a short text, bool, int or double that ends
 * with it. Most of a span is such attributes; false means that the long way decides.
 */
function isPlainAttribute(bytes: Uint8Array, start: number, stop: number): boolean {
  const keyLength = bytes[start + 1] ?? 0x80;
  if (bytes[start] !== KEY_TAG || keyLength >= 0x80) return false;
  const at = start + 2 + keyLength;
  const valueLength = bytes[at + 1] ?? 0x80;
  if (at + 4 > stop || bytes[at] !== VALUE_TAG || valueLength >= 0x80) return false;
  if (at + 2 + valueLength !== stop) return false;
  const first = bytes[at + 3] ?? 0x80;
  switch (bytes[at + 2]) {
    case 0x0a:
      return first < 0x80 && at + 4 + first === stop;
    case 0x10:
      return first < 0x80 && valueLength === 2;
    case 0x18: {
      let last = at + 3;
      while (last < stop && (bytes[last] ?? 0) >= 0x80) last++;
      return last === stop - 1 && valueLength <= 1 + VARINT_BYTES_MAX;
    }
    case 0x21:
      return valueLength === 9;
    default:
      return false;
  }
}

/** Do the bytes hold whole elements? */
function isPacked(bytes: Uint8Array, wireType: number, start: number, stop: number): boolean {
  const length = stop - start;
  if (wireType === WIRE_FIXED64) return length % 8 === 0;
  if (wireType === WIRE_FIXED32) return length % 4 === 0;
  let run = 0;
  for (let at = start; at < stop; at++) {
    run = (bytes[at] ?? 0) < 0x80 ? 0 : run + 1;
    if (run >= VARINT_BYTES_MAX) return false;
  }
  return run === 0;
}
