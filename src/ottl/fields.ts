// SPDX-License-Identifier: Apache-2.0
import type { Message } from "./message.ts";
import type { Telemetry } from "./telemetry.ts";
import {
  Float,
  isInteger,
  kindOf,
  OttlEvaluationError,
  Time,
  toFloat,
  type Value,
} from "./value.ts";
import { int64 } from "./value-codec.ts";

export type Getter = (telemetry: Telemetry) => Value;
export type Setter = (telemetry: Telemetry, value: Value) => void;
export type Select = (telemetry: Telemetry) => Message;

/** How a field is read and, where it can be, written. */
export interface Access {
  readonly read: (message: Message, telemetry: Telemetry) => Value;
  readonly write?: (message: Message, value: Value, telemetry: Telemetry) => void;
}
/** By the field's name in OTTL. */
export type Fields = Readonly<Record<string, Access>>;

function wrongKind(expected: string, value: Value): OttlEvaluationError {
  return new OttlEvaluationError(`expected ${expected} but got ${kindOf(value)}`);
}

/** A value of another kind is an error, as the Collector's strict setters have it. */
function need<T extends Value>(expected: string, isRight: (value: Value) => value is T) {
  return (value: Value): T => {
    if (isRight(value)) return value;
    throw wrongKind(expected, value);
  };
}
const needText = need("string", (value) => typeof value === "string");
const needInteger = need("int64", isInteger);
const needBytes = need("[]byte", (value) => value instanceof Uint8Array);
const needBool = need("bool", (value) => typeof value === "boolean");

const text = (field: number): Access => ({
  read: (message) => message.text(field),
  write: (message, value) => message.setText(field, needText(value)),
});
const integer = (field: number): Access => ({
  read: (message) => message.number(field) ?? 0,
  write: (message, value) => message.setVarint(field, Number(needInteger(value))),
});
const fixed32 = (field: number): Access => ({
  read: (message) => message.number(field) ?? 0,
  write: (message, value) => message.setFixed32(field, Number(needInteger(value))),
});
const fixed64 = (field: number): Access => ({
  read: (message) => message.number(field) ?? 0,
  write: (message, value) => message.setFixed64(field, needInteger(value)),
});
const time = (field: number): Access => ({
  read: (message) => new Time(BigInt(message.number(field) ?? 0)),
  write: (message, value) => {
    if (!(value instanceof Time)) throw wrongKind("time.Time", value);
    message.setFixed64(field, value.ns);
  },
});
const id = (field: number, length: number): Access => ({
  read: (message) => {
    const bytes = message.blob(field);
    return bytes.length === 0 ? new Uint8Array(length) : bytes;
  },
  write: (message, value) => writeId(message, field, needBytes(value), length),
});
const idText = (field: number, length: number): Access => ({
  read: (message) => {
    const bytes = message.blob(field);
    return Buffer.from(bytes.length === 0 ? new Uint8Array(length) : bytes).toString("hex");
  },
  write: (message, value) => {
    const hex = needText(value);
    if (!/^[0-9a-fA-F]*$/.test(hex)) throw new OttlEvaluationError(`not hexadecimal: "${hex}"`);
    writeId(message, field, Buffer.from(hex, "hex"), length);
  },
});
function writeId(message: Message, field: number, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) {
    throw new OttlEvaluationError(`ids must be ${length} bytes, got ${bytes.length}`);
  }
  message.setBlob(field, bytes);
}
const inside = (child: number, access: Access): Access => ({
  read: (message, telemetry) => access.read(message.child(child), telemetry),
  write: (message, value, telemetry) => access.write?.(message.child(child), value, telemetry),
});
const times = (start: number, end: number | undefined): Fields => ({
  start_time_unix_nano: fixed64(start),
  start_time: time(start),
  ...(end !== undefined && { end_time_unix_nano: fixed64(end), end_time: time(end) }),
});

const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const KIND: Access = integer(6);
const kindText = (spell: (name: string) => string, prefix: string): Access => ({
  read: (message) => {
    const name = KINDS[Number(message.number(6) ?? 0)] ?? "Unspecified";
    return prefix + spell(name);
  },
  write: (message, value) => {
    const wanted = needText(value);
    const kind = KINDS.findIndex((name) => prefix + spell(name) === wanted);
    if (kind === -1) throw new OttlEvaluationError(`unknown span kind: ${wanted}`);
    message.setVarint(6, kind);
  },
});

export const SPAN: Fields = {
  trace_id: id(1, 16),
  "trace_id.string": idText(1, 16),
  span_id: id(2, 8),
  "span_id.string": idText(2, 8),
  trace_state: text(3),
  parent_span_id: id(4, 8),
  "parent_span_id.string": idText(4, 8),
  name: text(5),
  kind: KIND,
  "kind.string": kindText((name) => name, ""),
  "kind.deprecated_string": kindText((name) => name.toUpperCase(), "SPAN_KIND_"),
  ...times(7, 8),
  dropped_attributes_count: integer(10),
  dropped_events_count: integer(12),
  dropped_links_count: integer(14),
  flags: fixed32(16),
  "status.message": inside(15, text(2)),
  "status.code": inside(15, integer(3)),
};

export const SPAN_EVENT: Fields = {
  time_unix_nano: fixed64(1),
  time: time(1),
  name: text(2),
  dropped_attributes_count: integer(4),
};

export const RESOURCE: Fields = {
  dropped_attributes_count: integer(2),
};

export const SCOPE: Fields = {
  name: text(1),
  version: text(2),
  dropped_attributes_count: integer(4),
};

const KINDS_WITH_TEMPORALITY: readonly number[] = [7, 9, 10];

export const METRIC: Fields = {
  name: text(1),
  description: text(2),
  unit: text(3),
  type: {
    read: (_, telemetry) => [0, 5, 7, 9, 10, 11].indexOf(telemetry.metricKind()),
  },
  aggregation_temporality: {
    read: (_, telemetry) =>
      KINDS_WITH_TEMPORALITY.includes(telemetry.metricKind())
        ? (telemetry.metricData().number(2) ?? 0)
        : undefined,
    write: (_, value, telemetry) => {
      if (!KINDS_WITH_TEMPORALITY.includes(telemetry.metricKind())) return;
      telemetry.metricData().setVarint(2, Number(needInteger(value)));
    },
  },
  is_monotonic: {
    read: (_, telemetry) =>
      telemetry.metricKind() === 7 ? (telemetry.metricData().number(3) ?? 0) !== 0 : undefined,
    write: (_, value, telemetry) => {
      if (telemetry.metricKind() !== 7) return;
      telemetry.metricData().setVarint(3, needBool(value) ? 1 : 0);
    },
  },
};

const SEVERITY_TEXT = "severity_text";
export const LOG: Fields = {
  time_unix_nano: fixed64(1),
  time: time(1),
  observed_time_unix_nano: fixed64(11),
  observed_time: time(11),
  severity_number: integer(2),
  [SEVERITY_TEXT]: text(3),
  body: {
    read: (message) => message.value(5),
    write: (message, value) => message.setValue(5, value),
  },
  "body.string": {
    read: (message) => {
      const value = message.value(5);
      return typeof value === "string" ? value : undefined;
    },
    write: (message, value) => message.setValue(5, needText(value)),
  },
  dropped_attributes_count: integer(7),
  flags: fixed32(8),
  trace_id: id(9, 16),
  "trace_id.string": idText(9, 16),
  span_id: id(10, 8),
  "span_id.string": idText(10, 8),
  event_name: text(12),
};

function isNumberPoint({ pointKind }: Telemetry): boolean {
  return pointKind === 5 || pointKind === 7;
}

/** A field that only histograms and summaries have. */
const distribution = (access: Access): Access => ({
  read: (message, telemetry) =>
    isNumberPoint(telemetry) ? undefined : access.read(message, telemetry),
  write: (message, value, telemetry) => {
    if (!isNumberPoint(telemetry)) access.write?.(message, value, telemetry);
  },
});
const exponential = (access: Access): Access => ({
  read: (message, telemetry) =>
    telemetry.pointKind === 10 ? access.read(message, telemetry) : undefined,
  write: (message, value, telemetry) => {
    if (telemetry.pointKind === 10) access.write?.(message, value, telemetry);
  },
});
const double = (field: number): Access => ({
  read: (message) => {
    const value = message.double(field);
    return value === undefined ? undefined : toFloat(value);
  },
  write: (message, value) => {
    const number = value instanceof Float ? value.value : isInteger(value) ? undefined : value;
    if (typeof number !== "number") throw wrongKind("float64", value);
    message.setDouble(field, number);
  },
});
const sint32 = (field: number): Access => ({
  read: (message) => {
    const raw = Number(message.number(field) ?? 0);
    return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
  },
  write: (message, value) => {
    const number = Number(needInteger(value));
    message.setVarint(field, number >= 0 ? number * 2 : -number * 2 - 1);
  },
});

export const DATAPOINT: Fields = {
  ...times(2, undefined),
  time_unix_nano: fixed64(3),
  time: time(3),
  value_double: {
    read: (message, telemetry) => {
      const value = isNumberPoint(telemetry) ? message.double(4) : undefined;
      return value === undefined ? undefined : toFloat(value);
    },
    write: (message, value, telemetry) => {
      if (!isNumberPoint(telemetry)) return;
      double(4).write?.(message, value, telemetry);
      message.remove(6);
    },
  },
  value_int: {
    read: (message, telemetry) => {
      if (!isNumberPoint(telemetry) || !message.has(6)) return undefined;
      const raw = BigInt.asIntN(64, BigInt(message.number(6) ?? 0));
      return int64(Number(raw & 0xffffffffn), Number((raw >> 32n) & 0xffffffffn));
    },
    write: (message, value, telemetry) => {
      if (!isNumberPoint(telemetry)) return;
      message.setFixed64(6, needInteger(value));
      message.remove(4);
    },
  },
  flags: {
    read: (message, telemetry) => message.number(flagsField(telemetry)) ?? 0,
    write: (message, value, telemetry) =>
      message.setVarint(flagsField(telemetry), Number(needInteger(value))),
  },
  count: distribution(fixed64(4)),
  sum: distribution(double(5)),
  scale: exponential(sint32(6)),
  zero_count: exponential(fixed64(7)),
  "positive.offset": exponential(inside(8, sint32(1))),
  "negative.offset": exponential(inside(9, sint32(1))),
};

function flagsField({ pointKind }: Telemetry): number {
  return pointKind === 9 || pointKind === 10 ? 10 : 8;
}
