// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** SpanKind of opentelemetry/proto/trace/v1/trace.proto, in the order of its numbers. */
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;

export type SpanKind = (typeof KINDS)[number];
export type Attribute = string | number | boolean | bigint | readonly Attribute[] | undefined;
export type Attributes = ReadonlyMap<string, Attribute>;

/** A span of OTLP JSON with its resource, flat. */
export interface FlatSpan {
  /** Lower case hex, 32 digits. */
  readonly traceId: string;
  /** Lower case hex, 16 digits. */
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: SpanKind;
  /** Since the epoch. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Integers as bigint, doubles as number. */
  readonly attributes: Attributes;
  readonly resource: Attributes;
  /** `service.name` of the resource, empty when there is none. */
  readonly service: string;
  /** 0 unset, 1 ok, 2 error. */
  readonly statusCode: number;
}

/**
 * Reads what the `file` exporter wrote: one OTLP JSON `TracesData` a line. A last line without its
 * newline is still being written and is left out; any other bad line is an error with its number.
 */
export function readOtlpJsonLines(path: string): readonly FlatSpan[] {
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.flatMap((line, index) => {
    try {
      return parseTraces(line);
    } catch (error) {
      throw new Error(`${path}:${index + 1}: not OTLP JSON: ${line.slice(0, 200)}`, {
        cause: error,
      });
    }
  });
}

/** The spans of one `TracesData` in OTLP JSON. */
export function parseTraces(json: string): readonly FlatSpan[] {
  const spans: FlatSpan[] = [];
  for (const resourceSpans of array(object(JSON.parse(json))["resourceSpans"])) {
    const { resource, scopeSpans } = object(resourceSpans);
    const attributes = attributesOf(object(resource ?? {})["attributes"]);
    for (const scope of array(scopeSpans)) {
      for (const span of array(object(scope)["spans"])) spans.push(flat(object(span), attributes));
    }
  }
  return spans;
}

function flat(span: Readonly<Record<string, unknown>>, resource: Attributes): FlatSpan {
  const service = resource.get("service.name");
  return {
    traceId: id(span["traceId"], 32),
    spanId: id(span["spanId"], 16),
    parentSpanId: span["parentSpanId"] ? id(span["parentSpanId"], 16) : "",
    name: String(span["name"] ?? ""),
    kind: kindOf(span["kind"]),
    startNs: BigInt(String(span["startTimeUnixNano"] ?? 0)),
    endNs: BigInt(String(span["endTimeUnixNano"] ?? 0)),
    attributes: attributesOf(span["attributes"]),
    resource,
    service: typeof service === "string" ? service : "",
    statusCode: Number(object(span["status"] ?? {})["code"] ?? 0),
  };
}

function kindOf(value: unknown): SpanKind {
  const kind = KINDS[Number(value ?? 0)];
  if (kind === undefined) throw new Error(`span kind ${String(value)}`);
  return kind;
}

function id(value: unknown, digits: number): string {
  if (typeof value !== "string" || !/^[0-9a-f]+$/.test(value) || value.length !== digits) {
    throw new Error(`expected ${digits} lower case hex digits, got ${JSON.stringify(value)}`);
  }
  if (/^0+$/.test(value)) throw new Error(`an id of ${digits} zeros is invalid`);
  return value;
}

export function attributesOf(list: unknown): Attributes {
  const attributes = new Map<string, Attribute>();
  for (const one of array(list)) {
    const { key, value } = object(one);
    if (attributes.has(String(key))) throw new Error(`attribute ${String(key)} twice`);
    attributes.set(String(key), anyValue(object(value ?? {})));
  }
  return attributes;
}

/** AnyValue of opentelemetry/proto/common/v1/common.proto; kvlist values are not needed here. */
function anyValue(value: Readonly<Record<string, unknown>>): Attribute {
  const { stringValue, boolValue, intValue, doubleValue, arrayValue, bytesValue } = value;
  if (typeof stringValue === "string") return stringValue;
  if (typeof boolValue === "boolean") return boolValue;
  if (intValue !== undefined) return BigInt(String(intValue));
  if (doubleValue !== undefined) return Number(doubleValue);
  if (typeof bytesValue === "string") return bytesValue;
  if (arrayValue === undefined) return undefined;
  return array(object(arrayValue)["values"]).map((one) => anyValue(object(one)));
}

export function object(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`expected an object, got ${JSON.stringify(value)}`);
  }
  return Object.fromEntries(Object.entries(value));
}

export function array(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Error(`expected an array, got ${JSON.stringify(value)}`);
  return value;
}
