// SPDX-License-Identifier: Apache-2.0
import { decodeAnyValue } from "../pdata/span-view.ts";
import { FieldReader, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "../pdata/wire.ts";
import type { Value } from "./value.ts";

/** A message inside `Telemetry.bytes`. */
export interface Range {
  start: number;
  stop: number;
}

const range = (): Range => ({ start: 0, stop: 0 });
const decoder = new TextDecoder();

/**
 * Where the item that is looked at stands, and all around it. Whoever walks the data sets the
 * ranges; a condition reads only the fields that it names.
 */
export class Telemetry {
  bytes: Uint8Array = new Uint8Array(0);
  /** ResourceSpans, ResourceMetrics or ResourceLogs. */
  readonly resource: Range = range();
  /** ScopeSpans and so on. */
  readonly scope: Range = range();
  /** The span, metric or log record. */
  readonly item: Range = range();
  /** The span event or data point. */
  readonly part: Range = range();
  /** Field of the metric that holds its points: 5 gauge, 7 sum, 9, 10, 11. */
  pointKind = 0;
  readonly #reader = new FieldReader();
  readonly #inner = new FieldReader();

  /** The last field with this number that is a message or bytes; start -1 when there is none. */
  messageIn(outer: Range, field: number): Range {
    const found = { start: -1, stop: -1 };
    if (outer.start < 0) return found;
    const reader = this.#reader.reset(this.bytes, outer.start, outer.stop);
    while (reader.next()) {
      if (reader.field !== field || reader.wireType !== WIRE_BYTES) continue;
      found.start = reader.start;
      found.stop = reader.stop;
    }
    return found;
  }

  /** All fields with this number that are messages. */
  messagesIn(outer: Range, field: number): Range[] {
    const found: Range[] = [];
    const reader = new FieldReader().reset(this.bytes, outer.start, outer.stop);
    while (reader.next()) {
      if (reader.field === field && reader.wireType === WIRE_BYTES) {
        found.push({ start: reader.start, stop: reader.stop });
      }
    }
    return found;
  }

  text(outer: Range, field: number): string {
    const { start, stop } = this.messageIn(outer, field);
    return start < 0 ? "" : decoder.decode(this.bytes.subarray(start, stop));
  }

  /** As long as the field is; `length` zeros when it is not there. */
  id(outer: Range, field: number, length: number): Uint8Array {
    const { start, stop } = this.messageIn(outer, field);
    return start < 0 || stop === start ? new Uint8Array(length) : this.bytes.subarray(start, stop);
  }

  /** Of type uint32, enum, bool, fixed32 or fixed64; 0 when it is not there. */
  number(outer: Range, field: number): number | bigint {
    return this.numberOr(outer, field, 0);
  }

  numberOr<T extends undefined | number>(outer: Range, field: number, or: T): number | bigint | T {
    if (outer.start < 0) return or;
    const reader = this.#reader.reset(this.bytes, outer.start, outer.stop);
    let value: number | bigint | T = or;
    while (reader.next()) {
      if (reader.field !== field) continue;
      const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + reader.start);
      if (reader.wireType === WIRE_VARINT) value = reader.low;
      else if (reader.wireType === WIRE_FIXED32) value = view.getUint32(0, true);
      else if (reader.wireType === WIRE_FIXED64) value = narrow(view.getBigInt64(0, true));
    }
    return value;
  }

  double(outer: Range, field: number): number | undefined {
    const reader = this.#reader.reset(this.bytes, outer.start, outer.stop);
    let value: number | undefined;
    while (reader.next()) {
      if (reader.field !== field || reader.wireType !== WIRE_FIXED64) continue;
      const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + reader.start);
      value = view.getFloat64(0, true);
    }
    return value;
  }

  anyValue(outer: Range, field: number): Value {
    const { start, stop } = this.messageIn(outer, field);
    return start < 0 ? undefined : decodeAnyValue(this.bytes, start, stop);
  }

  /** One attribute of a message, without decoding the others. */
  attribute(outer: Range, field: number, key: Uint8Array): Value {
    if (outer.start < 0) return undefined;
    const reader = this.#reader.reset(this.bytes, outer.start, outer.stop);
    while (reader.next()) {
      if (reader.field !== field || reader.wireType !== WIRE_BYTES) continue;
      const inner = this.#inner.reset(this.bytes, reader.start, reader.stop);
      let matches = false;
      let start = -1;
      let stop = -1;
      while (inner.next()) {
        if (inner.wireType !== WIRE_BYTES) continue;
        if (inner.field === 1) matches = this.#isKey(inner.start, inner.stop, key);
        else if (inner.field === 2) {
          start = inner.start;
          stop = inner.stop;
        }
      }
      if (matches) return start < 0 ? undefined : decodeAnyValue(this.bytes, start, stop);
    }
    return undefined;
  }

  #isKey(start: number, stop: number, key: Uint8Array): boolean {
    if (stop - start !== key.length) return false;
    for (let at = 0; at < key.length; at++) {
      if (this.bytes[start + at] !== key[at]) return false;
    }
    return true;
  }
}

function narrow(value: bigint): number | bigint {
  const rounded = Number(value);
  return Number.isSafeInteger(rounded) ? rounded : value;
}
