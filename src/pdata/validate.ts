// SPDX-License-Identifier: Apache-2.0
import { MESSAGES, type Message, messageNamed, wireTypeOf } from "./otlp-schema.ts";
import { type OtlpSignal, REQUESTS } from "./requests.ts";
import { FieldReader, malformedAt, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64 } from "./wire.ts";

/** Deeper nesting is refused; protobuf's own libraries stop at 100, too. */
export const NESTING_MAX = 100;

/** What a field of a known message may look like; index is the field number. */
interface Rule {
  /** Bits: `1 << wireType`. */
  readonly allowed: number;
  /** The message inside, or undefined. */
  readonly child: Rules | undefined;
  /** Wire type of the elements when a bytes field holds packed numbers, else -1. */
  readonly packed: number;
}

interface Rules {
  readonly isItem: boolean;
  readonly rules: (Rule | undefined)[];
}

const ITEMS: ReadonlySet<string> = new Set([
  "Span",
  "LogRecord",
  "NumberDataPoint",
  "HistogramDataPoint",
  "ExponentialHistogramDataPoint",
  "SummaryDataPoint",
]);

const READERS: readonly FieldReader[] = Array.from(
  { length: NESTING_MAX },
  () => new FieldReader(),
);

function compile(message: Message, done: Map<string, Rules>): Rules {
  const known = done.get(message.name);
  if (known !== undefined) return known;
  const compiled: Rules = { isItem: ITEMS.has(message.name), rules: [] };
  done.set(message.name, compiled);
  for (const field of message.fields) {
    const wireType = wireTypeOf(field);
    const packs = field.repeated && wireType !== WIRE_BYTES;
    const inner = MESSAGES.get(field.message);
    compiled.rules[field.number] = {
      allowed: (1 << wireType) | (packs ? 1 << WIRE_BYTES : 0),
      child: inner === undefined ? undefined : compile(inner, done),
      packed: packs ? wireType : -1,
    };
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
  return check(ROOTS[signal], body, { depth: 0, start: 0, end: body.length });
}

interface Range {
  readonly depth: number;
  readonly start: number;
  readonly end: number;
}

function check(rules: Rules, bytes: Uint8Array, range: Range): number {
  return checkMessage(rules, bytes, range.depth, range.start, range.end);
}

function checkMessage(
  message: Rules,
  bytes: Uint8Array,
  depth: number,
  start: number,
  end: number,
): number {
  const reader = READERS[depth];
  if (reader === undefined) return malformedAt(start);
  reader.reset(bytes, start, end);
  const { rules } = message;
  let items = message.isItem ? 1 : 0;
  while (reader.next()) {
    const rule = rules[reader.field];
    if (rule === undefined) continue;
    if ((rule.allowed & (1 << reader.wireType)) === 0) return malformedAt(reader.tagAt);
    if (reader.wireType !== WIRE_BYTES) continue;
    if (rule.child !== undefined) {
      const below = checkMessage(rule.child, bytes, depth + 1, reader.start, reader.stop);
      if (below < 0) return below;
      items += below;
    } else if (rule.packed >= 0 && !isPacked(bytes, rule.packed, reader)) {
      return malformedAt(reader.tagAt);
    }
  }
  return reader.errorAt < 0 ? items : malformedAt(reader.errorAt);
}

/** Do the bytes hold whole elements? */
function isPacked(bytes: Uint8Array, wireType: number, range: FieldReader): boolean {
  const length = range.stop - range.start;
  if (wireType === WIRE_FIXED64) return length % 8 === 0;
  if (wireType === WIRE_FIXED32) return length % 4 === 0;
  let run = 0;
  for (let at = range.start; at < range.stop; at++) {
    run = (bytes[at] ?? 0) < 0x80 ? 0 : run + 1;
    if (run >= 10) return false;
  }
  return run === 0;
}
