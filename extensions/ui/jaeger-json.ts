// SPDX-License-Identifier: Apache-2.0
import {
  type AttributeValue,
  attributesOf,
  type MessageView,
  messagesIn,
  type SpanContext,
  type SpanView,
  textIn,
} from "../../src/pdata/span-view.ts";
import { FieldReader, WIRE_BYTES, WIRE_FIXED64 } from "../../src/pdata/wire.ts";
import { microsecondsAt } from "../../src/store/epoch-time.ts";
import { KINDS } from "./parameters.ts";
import { serviceOf } from "./span-row.ts";

const TAGS_MAX = 128;
const LOGS_MAX = 128;
const TEXT_MAX = 64 * 1024;
const TRACE_ID_BYTES = 16;

interface Tag {
  readonly key: string;
  readonly type: string;
  readonly value: string | number | boolean;
}

/** A trace in the shape of Jaeger's query API. */
export class JaegerTrace {
  readonly #traceId: string;
  readonly #spans: object[] = [];
  readonly #processes = new Map<string, { readonly id: string; readonly process: object }>();

  constructor(traceId: string) {
    this.#traceId = shownId(traceId);
  }

  get spans(): number {
    return this.#spans.length;
  }

  add(span: SpanView, context: SpanContext): void {
    this.#spans.push({
      traceID: this.#traceId,
      spanID: span.spanId,
      operationName: cut(span.name),
      references: this.#references(span),
      startTime: microsecondsAt(span.bytes, span.startTimeAt),
      duration: Math.floor(span.durationNs / 1000),
      tags: spanTags(span, context),
      logs: messagesIn(span, 11).slice(0, LOGS_MAX).map(logOf),
      processID: this.#process(context),
      warnings: null,
    });
  }

  toJson(): object {
    const processes = Object.fromEntries(
      [...this.#processes.values()].map(({ id, process }) => [id, process]),
    );
    return { traceID: this.#traceId, spans: this.#spans, processes, warnings: null };
  }

  #references(span: SpanView): readonly object[] {
    const { parentSpanId } = span;
    const links = messagesIn(span, 13)
      .slice(0, LOGS_MAX)
      .map((link) => ({
        refType: "FOLLOWS_FROM",
        traceID: shownId(hexIn(link, 1)),
        spanID: hexIn(link, 2),
      }));
    if (parentSpanId === "") return links;
    return [{ refType: "CHILD_OF", traceID: this.#traceId, spanID: parentSpanId }, ...links];
  }

  #process(context: SpanContext): string {
    const serviceName = serviceOf(context);
    const attributes = [...attributesOf(context.resource, 1)];
    const tags = tagsOf(attributes.filter(([key]) => key !== "service.name"));
    const process = { serviceName, tags };
    const key = JSON.stringify(process);
    const known = this.#processes.get(key);
    if (known !== undefined) return known.id;
    const id = `p${this.#processes.size + 1}`;
    this.#processes.set(key, { id, process });
    return id;
  }
}

/** Jaeger shows a trace id of 64 bits as one. */
function shownId(traceId: string): string {
  return traceId.startsWith("0".repeat(16)) ? traceId.slice(16) : traceId;
}

function spanTags(span: SpanView, { scope }: SpanContext): readonly Tag[] {
  const tags = [...tagsOf([...span.attributes()])];
  const put = (key: string, value: string): void => {
    if (value !== "") tags.push({ key, type: "string", value: cut(value) });
  };
  put("otel.scope.name", textIn(scope, 1));
  put("otel.scope.version", textIn(scope, 2));
  if (span.kind > 0) put("span.kind", KINDS[span.kind] ?? "");
  const status = span.statusCode;
  if (status === 2) tags.push({ key: "error", type: "bool", value: true });
  if (status === 1 || status === 2) put("otel.status_code", status === 1 ? "OK" : "ERROR");
  put("otel.status_description", span.statusMessage);
  put("w3c.tracestate", textIn(span, 3));
  return tags.sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0));
}

function logOf(event: MessageView): object {
  const name = textIn(event, 2);
  const fields = tagsOf([...attributesOf(event, 3)]);
  const first: Tag = { key: "event", type: "string", value: cut(name) };
  return { timestamp: timeUs(event), fields: name === "" ? fields : [first, ...fields] };
}

function tagsOf(attributes: readonly (readonly [string, AttributeValue])[]): readonly Tag[] {
  return attributes.slice(0, TAGS_MAX).map(([key, value]) => ({ key: cut(key), ...typed(value) }));
}

function typed(value: AttributeValue): Pick<Tag, "type" | "value"> {
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "number") return { type: numberType(value), value };
  if (typeof value === "bigint") return { type: "int64", value: String(value) };
  if (value instanceof Uint8Array) {
    return { type: "binary", value: cut(Buffer.from(value).toString("base64")) };
  }
  if (typeof value === "string") return { type: "string", value: cut(value) };
  return { type: "string", value: value === undefined ? "" : cut(JSON.stringify(plain(value))) };
}

/** A double with a whole value cannot be told from an integer here. */
function numberType(value: number): string {
  return Number.isInteger(value) ? "int64" : "float64";
}

function plain(value: AttributeValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, one]) => [key, plain(one)]));
  }
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === "bigint" ? String(value) : value;
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : text.slice(0, TEXT_MAX);
}

function timeUs(event: MessageView): number {
  const reader = new FieldReader().reset(event.bytes, event.start, event.end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_FIXED64) continue;
    return microsecondsAt(reader.bytes, reader.start);
  }
  return 0;
}

function hexIn(view: MessageView, field: number): string {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  while (reader.next()) {
    if (reader.field !== field || reader.wireType !== WIRE_BYTES) continue;
    const stop = Math.min(reader.stop, reader.start + TRACE_ID_BYTES);
    return Buffer.from(view.bytes.subarray(reader.start, stop)).toString("hex");
  }
  return "";
}
