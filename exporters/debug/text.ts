// SPDX-License-Identifier: Apache-2.0
import type { Batch } from "../../src/model/batch.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { type OtlpSignal, REQUESTS } from "../../src/pdata/requests.ts";
import {
  type AttributeValue,
  attributesOf,
  decodeAnyValue,
  type MessageView,
  messagesIn,
  SpanView,
  textIn,
  viewOf,
} from "../../src/pdata/span-view.ts";
import { FieldReader, readFixed32 } from "../../src/pdata/wire.ts";
import { printable } from "./style.ts";

interface Titles {
  readonly resource: string;
  readonly scope: string;
}

const TITLES: Readonly<Record<OtlpSignal, Titles>> = {
  traces: { resource: "ResourceTraces", scope: "ScopeTraces" },
  metrics: { resource: "ResourceMetrics", scope: "ScopeMetrics" },
  logs: { resource: "ResourceLog", scope: "ScopeLog" },
};

/** One line for each span, data point or log record, under lines for resource and scope. */
export function normalText(signal: OtlpSignal, batch: Batch): string {
  const titles = TITLES[signal];
  const lines: string[] = [];
  eachResource(batch, (resource, index) => {
    const attributes = pairs(attributesOf(resource.self, 1));
    lines.push(`${titles.resource} #${index}${attributes}`);
    resource.scopes.forEach((scope, at) => {
      const [self] = messagesIn(scope, 1);
      const name = self === undefined ? "" : ` ${printable(textIn(self, 1))}`;
      lines.push(`${titles.scope} #${at}${name}`);
      for (const item of messagesIn(scope, 2)) lines.push(...itemLines(signal, item));
    });
  });
  return `${lines.join("\n")}\n`;
}

/** Every field: spans in the Collector's form, metrics and logs as indented OTLP/JSON. */
export function detailedText(signal: OtlpSignal, batch: Batch): string {
  if (signal === "traces") return detailedTraces(batch);
  const result = toOtlpJson(REQUESTS[signal].request, Buffer.concat(batch.chunks));
  return result.ok ? `${JSON.stringify(JSON.parse(result.json), undefined, 2)}\n` : "";
}

interface Resource {
  readonly self: MessageView;
  readonly whole: MessageView;
  readonly scopes: readonly MessageView[];
}

const NOTHING: MessageView = viewOf(new Uint8Array(0));

function eachResource(batch: Batch, visit: (resource: Resource, index: number) => void): void {
  let index = 0;
  for (const chunk of batch.chunks) {
    for (const whole of messagesIn(viewOf(chunk), 1)) {
      const [self = NOTHING] = messagesIn(whole, 1);
      visit({ self, whole, scopes: messagesIn(whole, 2) }, index++);
    }
  }
}

/** ` key=value` for each attribute, or separated by `separator`. */
function pairs(attributes: ReadonlyMap<string, AttributeValue>, separator?: string): string {
  const texts = [...attributes].map(([key, value]) => `${printable(key)}=${valueText(value)}`);
  if (separator !== undefined) return texts.join(separator);
  return texts.map((text) => ` ${text}`).join("");
}

function valueText(value: AttributeValue): string {
  if (typeof value === "string") return printable(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) return `{${pairs(value, " ")}}`;
  if (Array.isArray(value)) return `[${value.map((inner) => valueText(inner)).join(", ")}]`;
  return String(value ?? "");
}

function itemLines(signal: OtlpSignal, item: MessageView): string[] {
  switch (signal) {
    case "traces": {
      const span = spanAt(item);
      const ids = `${span.traceId} ${span.spanId}`;
      return [`${printable(span.name)} ${ids}${pairs(span.attributes())}`];
    }
    case "metrics":
      return metricLines(item);
    case "logs": {
      const [body = NOTHING] = messagesIn(item, 5);
      const text = valueText(decodeAnyValue(body.bytes, body.start, body.end));
      return [`${text}${pairs(attributesOf(item, 6))}`];
    }
  }
}

function spanAt(view: MessageView): SpanView {
  return new SpanView().reset(view.bytes, view.start, view.end);
}

/** Field of a metric's data, and where the attributes of its points stand. */
const POINT_ATTRIBUTES = [
  [5, 7],
  [7, 7],
  [9, 9],
  [10, 1],
  [11, 7],
] as const;

function metricLines(metric: MessageView): string[] {
  const name = printable(textIn(metric, 1));
  return POINT_ATTRIBUTES.flatMap(([field, attributesField]) =>
    messagesIn(metric, field)
      .flatMap((kind) => messagesIn(kind, 1))
      .map((point) => {
        const labels = pairs(attributesOf(point, attributesField), ",");
        return `${name}{${labels}} ${pointText(field, point)}`;
      }),
  );
}

function pointText(kind: number, point: MessageView): string {
  const reader = new FieldReader().reset(point.bytes, point.start, point.end);
  const view = new DataView(point.bytes.buffer, point.bytes.byteOffset);
  const isNumber = kind === 5 || kind === 7;
  let text = "";
  while (reader.next()) {
    const { field, start } = reader;
    if (isNumber && field === 4) text = String(view.getFloat64(start, true));
    else if (isNumber && field === 6) text = String(view.getBigInt64(start, true));
    else if (!isNumber && field === 4) text += `count=${view.getBigUint64(start, true)}`;
    else if (!isNumber && field === 5) text += ` sum=${view.getFloat64(start, true)}`;
  }
  return text.trim();
}

const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUSES = ["Unset", "Ok", "Error"];

function detailedTraces(batch: Batch): string {
  const lines: string[] = [];
  eachResource(batch, ({ self, whole, scopes }, index) => {
    lines.push(`ResourceSpans #${index}`, `Resource SchemaURL: ${printable(textIn(whole, 3))}`);
    lines.push(...attributeLines("Resource attributes:", attributesOf(self, 1)));
    scopes.forEach((scope, at) => {
      const [named = NOTHING] = messagesIn(scope, 1);
      lines.push(`ScopeSpans #${at}`, `ScopeSpans SchemaURL: ${printable(textIn(scope, 3))}`);
      const title = `${textIn(named, 1)} ${textIn(named, 2)}`.trim();
      lines.push(`InstrumentationScope ${printable(title)}`);
      messagesIn(scope, 2).forEach((span, number) => {
        lines.push(`Span #${number}`, ...spanLines(spanAt(span)));
      });
    });
  });
  return `${lines.join("\n")}\n`;
}

function spanLines(span: SpanView): string[] {
  const row = (name: string, value: string): string => `    ${name.padEnd(15)}: ${value}`;
  const lines = [
    row("Trace ID", span.traceId),
    row("Parent ID", span.parentSpanId),
    row("ID", span.spanId),
    row("Name", printable(span.name)),
    row("Kind", KINDS[span.kind] ?? String(span.kind)),
    row("Start time", timeText(span, span.startTimeAt)),
    row("End time", timeText(span, span.endTimeAt)),
    row("Status code", STATUSES[span.statusCode] ?? String(span.statusCode)),
    row("Status message", printable(span.statusMessage)),
  ];
  const { events } = span;
  if (events > 0) lines.push(row("Events", String(events)));
  return [...lines, ...attributeLines("Attributes:", span.attributes())];
}

/** `2023-11-11 17:43:38.843123456 +0000 UTC`, the Go form. */
function timeText(span: SpanView, at: number): string {
  if (at < 0) return "1970-01-01 00:00:00 +0000 UTC";
  const low = BigInt(readFixed32(span.bytes, at));
  const ns = (BigInt(readFixed32(span.bytes, at + 4)) << 32n) | low;
  const seconds = Number(ns / 1_000_000_000n);
  const rest = String(ns % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `${ns} ns`;
  const [day = "", time = ""] = date.toISOString().split("T");
  return `${day} ${time.slice(0, 8)}${rest === "" ? "" : `.${rest}`} +0000 UTC`;
}

function attributeLines(title: string, attributes: ReadonlyMap<string, AttributeValue>): string[] {
  if (attributes.size === 0) return [];
  const lines = [title];
  for (const [key, value] of attributes) {
    lines.push(`     -> ${printable(key)}: ${typeName(value)}(${valueText(value)})`);
  }
  return lines;
}

function typeName(value: AttributeValue): string {
  switch (typeof value) {
    case "string":
      return "Str";
    case "boolean":
      return "Bool";
    case "bigint":
      return "Int";
    case "number":
      return Number.isInteger(value) ? "Int" : "Double";
    case "undefined":
      return "Empty";
    default:
      if (value instanceof Uint8Array) return "Bytes";
      return Array.isArray(value) ? "Slice" : "Map";
  }
}
