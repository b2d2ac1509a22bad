// SPDX-License-Identifier: Apache-2.0
import { attributesOf } from "../pdata/span-view.ts";
import type { PathSyntax } from "./syntax.ts";
import type { Range, Telemetry } from "./telemetry.ts";
import { indexed, type Value } from "./value.ts";

export type Getter = (telemetry: Telemetry) => Value;

/** What a condition is about; the Collector's names. */
export type ContextName =
  | "resource"
  | "scope"
  | "span"
  | "spanevent"
  | "metric"
  | "datapoint"
  | "log";

type Select = (telemetry: Telemetry) => Range;
/** How a field is read: by its name in OTTL. */
type Fields = Readonly<Record<string, (select: Select) => Getter>>;

interface Context {
  readonly select: Select;
  readonly fields: Fields;
  /** Field number of the attributes, given the place. */
  readonly attributes: ((telemetry: Telemetry) => number) | undefined;
  /** Contexts that may be named in a path. */
  readonly outer: readonly string[];
  /** As the Collector's texts name it. */
  readonly title: string;
}

const text =
  (field: number) =>
  (select: Select): Getter =>
  (telemetry) =>
    telemetry.text(select(telemetry), field);
const number =
  (field: number) =>
  (select: Select): Getter =>
  (telemetry) =>
    telemetry.number(select(telemetry), field);
const id =
  (field: number, length: number) =>
  (select: Select): Getter =>
  (telemetry) =>
    telemetry.id(select(telemetry), field, length);
const idText =
  (field: number, length: number) =>
  (select: Select): Getter =>
  (telemetry) =>
    Buffer.from(telemetry.id(select(telemetry), field, length)).toString("hex");
const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];

const SPAN: Fields = {
  trace_id: id(1, 16),
  "trace_id.string": idText(1, 16),
  span_id: id(2, 8),
  "span_id.string": idText(2, 8),
  trace_state: text(3),
  parent_span_id: id(4, 8),
  "parent_span_id.string": idText(4, 8),
  name: text(5),
  kind: number(6),
  "kind.string": (select) => (telemetry) =>
    KINDS[Number(telemetry.number(select(telemetry), 6))] ?? "Unspecified",
  start_time_unix_nano: number(7),
  end_time_unix_nano: number(8),
  dropped_attributes_count: number(10),
  dropped_events_count: number(12),
  dropped_links_count: number(14),
  "status.message": (select) => (telemetry) =>
    telemetry.text(telemetry.messageIn(select(telemetry), 15), 2),
  "status.code": (select) => (telemetry) =>
    telemetry.number(telemetry.messageIn(select(telemetry), 15), 3),
};

const METRIC_KIND_FIELDS = [5, 7, 9, 10, 11];

/** The Gauge, Sum and so on in a metric, and which it is: 1 gauge to 5 summary, 0 none. */
function metricData(telemetry: Telemetry, metric: Range): { type: number; data: Range } {
  for (const [at, field] of METRIC_KIND_FIELDS.entries()) {
    const data = telemetry.messageIn(metric, field);
    if (data.start >= 0) return { type: at + 1, data };
  }
  return { type: 0, data: { start: -1, stop: -1 } };
}

const METRIC: Fields = {
  name: text(1),
  description: text(2),
  unit: text(3),
  type: (select) => (telemetry) => metricData(telemetry, select(telemetry)).type,
  aggregation_temporality: (select) => (telemetry) => {
    const { type, data } = metricData(telemetry, select(telemetry));
    return type >= 2 && type <= 4 ? telemetry.number(data, 2) : undefined;
  },
  is_monotonic: (select) => (telemetry) => {
    const { type, data } = metricData(telemetry, select(telemetry));
    return type === 2 ? telemetry.number(data, 3) !== 0 : undefined;
  },
};

const LOG: Fields = {
  time_unix_nano: number(1),
  observed_time_unix_nano: number(11),
  severity_number: number(2),
  severity_text: text(3),
  body: (select) => (telemetry) => telemetry.anyValue(select(telemetry), 5),
  dropped_attributes_count: number(7),
  flags: number(8),
  trace_id: id(9, 16),
  "trace_id.string": idText(9, 16),
  span_id: id(10, 8),
  "span_id.string": idText(10, 8),
  event_name: text(12),
};

const DATAPOINT: Fields = {
  start_time_unix_nano: number(2),
  time_unix_nano: number(3),
  value_double: (select) => (telemetry) =>
    isNumberPoint(telemetry) ? telemetry.double(select(telemetry), 4) : undefined,
  value_int: (select) => (telemetry) =>
    isNumberPoint(telemetry) ? telemetry.numberOr(select(telemetry), 6, undefined) : undefined,
  flags: (select) => (telemetry) =>
    telemetry.number(
      select(telemetry),
      telemetry.pointKind >= 9 && telemetry.pointKind <= 10 ? 10 : 8,
    ),
  count: (select) => (telemetry) =>
    isNumberPoint(telemetry) ? undefined : telemetry.number(select(telemetry), 4),
  sum: (select) => (telemetry) =>
    isNumberPoint(telemetry) ? undefined : telemetry.double(select(telemetry), 5),
};

function isNumberPoint({ pointKind }: Telemetry): boolean {
  return pointKind === 5 || pointKind === 7;
}

const POINT_ATTRIBUTES: Readonly<Record<number, number>> = { 9: 9, 10: 1 };
const item: Select = (telemetry) => telemetry.item;
const part: Select = (telemetry) => telemetry.part;
const SCOPE_NAMES = ["resource", "scope", "instrumentation_scope"];

const CONTEXTS: Readonly<Record<ContextName, Context>> = {
  resource: {
    select: (telemetry) => telemetry.messageIn(telemetry.resource, 1),
    fields: { dropped_attributes_count: number(2) },
    attributes: () => 1,
    outer: [],
    title: "Resource",
  },
  scope: {
    select: (telemetry) => telemetry.messageIn(telemetry.scope, 1),
    fields: { name: text(1), version: text(2), dropped_attributes_count: number(4) },
    attributes: () => 3,
    outer: ["resource"],
    title: "Instrumentation Scope",
  },
  span: { select: item, fields: SPAN, attributes: () => 9, outer: SCOPE_NAMES, title: "Span" },
  spanevent: {
    select: part,
    fields: { time_unix_nano: number(1), name: text(2), dropped_attributes_count: number(4) },
    attributes: () => 3,
    outer: [...SCOPE_NAMES, "span"],
    title: "Span Event",
  },
  metric: {
    select: item,
    fields: METRIC,
    attributes: undefined,
    outer: SCOPE_NAMES,
    title: "Metric",
  },
  datapoint: {
    select: part,
    fields: DATAPOINT,
    attributes: ({ pointKind }) => POINT_ATTRIBUTES[pointKind] ?? 7,
    outer: [...SCOPE_NAMES, "metric"],
    title: "DataPoint",
  },
  log: { select: item, fields: LOG, attributes: () => 6, outer: SCOPE_NAMES, title: "Log" },
};

/** Compiles a path; a text is what is wrong with it. */
export function compilePath(path: PathSyntax, name: ContextName): Getter | string {
  const own = CONTEXTS[name];
  const first = path.fields[0]?.name ?? "";
  const isOuter = own.outer.includes(first);
  const skipsOwnName = first === name && path.fields.length > 1;
  const context = isOuter ? CONTEXTS[contextNamed(first)] : own;
  const fields = path.fields.slice(isOuter || skipsOwnName ? 1 : 0);
  const names = fields.map((field) => field.name).join(".");
  const keys = fields.at(-1)?.keys ?? [];
  const hasInnerKeys = fields.slice(0, -1).some((field) => field.keys.length > 0);
  if (names === "attributes" && context.attributes !== undefined) {
    return attributesGetter(context, context.attributes, keys);
  }
  const make = hasInnerKeys ? undefined : context.fields[names];
  const isIndexable = names === "body";
  if (make === undefined || (keys.length > 0 && !isIndexable)) {
    const segment = fields[0]?.name ?? first;
    const folder = `ottl${isOuter ? contextNamed(first) : name}`;
    return (
      `segment ${JSON.stringify(segment)} from path ${JSON.stringify(path.text)} is not a valid ` +
      `path nor a valid OTTL keyword for the ${context.title} context - review ` +
      "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/ottl/" +
      `contexts/${folder} to see all valid paths`
    );
  }
  const getter = make(context.select);
  return keys.length === 0 ? getter : (telemetry) => indexed(getter(telemetry), keys);
}

function contextNamed(text: string): ContextName {
  switch (text) {
    case "resource":
    case "span":
    case "metric":
      return text;
    default:
      return "scope";
  }
}

function attributesGetter(
  context: Context,
  fieldOf: (telemetry: Telemetry) => number,
  keys: readonly (string | number)[],
): Getter {
  const [first, ...rest] = keys;
  if (first === undefined) {
    return (telemetry) => {
      const { start, stop } = context.select(telemetry);
      const view = { bytes: telemetry.bytes, start: Math.max(start, 0), end: Math.max(stop, 0) };
      return attributesOf(view, fieldOf(telemetry));
    };
  }
  const key = Buffer.from(String(first));
  return (telemetry) => {
    const value = telemetry.attribute(context.select(telemetry), fieldOf(telemetry), key);
    return rest.length === 0 ? value : indexed(value, rest);
  };
}
