// SPDX-License-Identifier: Apache-2.0
import { isIPv4, isIPv6 } from "node:net";
import {
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_NAME,
} from "@opentelemetry/semantic-conventions";
import { ATTR_PEER_SERVICE } from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeValue,
  attributesOf,
  forEachSpan,
  type MessageView,
  messagesIn,
  type SpanContext,
  type SpanView,
  textIn,
} from "../pdata/span-view.ts";
import { FieldReader, readFixed32, WIRE_FIXED64 } from "../pdata/wire.ts";
import { OTLP_KIND, TAG, ZIPKIN_KINDS, type ZipkinEndpoint, type ZipkinSpan } from "./span.ts";

const NS_PER_US = 1_000;
const RESOURCE_ATTRIBUTES = 1;
const EVENTS = 11;
const EVENT_NAME = 2;
const EVENT_ATTRIBUTES = 3;
const TRACE_STATE = 3;
const STATUS_OK = 1;
const STATUS_ERROR = 2;

type Attributes = ReadonlyMap<string, AttributeValue>;

/** The spans of a request body, by OpenTelemetry's mapping to Zipkin. */
export function zipkinSpansOf(chunk: Uint8Array, defaultServiceName: string): ZipkinSpan[] {
  const spans: ZipkinSpan[] = [];
  let last: MessageView | undefined;
  let resource: Attributes = new Map();
  forEachSpan(chunk, (span, context) => {
    if (context.resource !== last) {
      last = context.resource;
      resource = attributesOf(context.resource, RESOURCE_ATTRIBUTES);
    }
    // Zipkin has no span without ids.
    if (span.traceId === "" || span.spanId === "") return;
    spans.push(zipkinSpan({ span, context, resource, defaultServiceName }));
  });
  return spans;
}

interface Inputs {
  readonly span: SpanView;
  readonly context: SpanContext;
  readonly resource: Attributes;
  readonly defaultServiceName: string;
}

function zipkinSpan(inputs: Inputs): ZipkinSpan {
  const { span, resource, defaultServiceName } = inputs;
  const attributes = span.attributes();
  const serviceName = resource.get(ATTR_SERVICE_NAME);
  const name =
    typeof serviceName === "string" && serviceName !== "" ? serviceName : defaultServiceName;
  const durationUs = Math.floor(span.durationNs / NS_PER_US);
  return {
    traceId: span.traceId,
    id: span.spanId,
    parentId: span.parentSpanId || undefined,
    kind: ZIPKIN_KINDS.find((kind) => OTLP_KIND[kind] === span.kind),
    name: span.name,
    timestamp: span.startTimeAt < 0 ? 0 : microsecondsAt(span.bytes, span.startTimeAt),
    // 0 is "unknown" in Zipkin.
    duration: Math.max(1, durationUs),
    localEndpoint: { serviceName: name },
    remoteEndpoint: remoteOf(span.kind, attributes),
    annotations: annotationsOf(span),
    tags: tagsOf(inputs, attributes),
  };
}

function tagsOf(
  { span, context, resource }: Inputs,
  attributes: Attributes,
): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const [key, value] of resource) if (key !== ATTR_SERVICE_NAME) tags[key] = textOf(value);
  for (const [key, value] of attributes) tags[key] = textOf(value);
  const scope = { name: textIn(context.scope, 1), version: textIn(context.scope, 2) };
  if (scope.name !== "") tags[TAG.scopeName] = scope.name;
  if (scope.version !== "") tags[TAG.scopeVersion] = scope.version;
  const traceState = textIn(span, TRACE_STATE);
  if (traceState !== "") tags[TAG.traceState] = traceState;
  const { statusCode } = span;
  if (statusCode === STATUS_OK) tags[TAG.statusCode] = "OK";
  if (statusCode === STATUS_ERROR) {
    tags[TAG.statusCode] = "ERROR";
    tags[TAG.error] = span.statusMessage || (tags[TAG.error] ?? "true");
  }
  return tags;
}

/** Only outgoing spans have one. */
function remoteOf(kind: number, attributes: Attributes): ZipkinEndpoint | undefined {
  if (kind !== OTLP_KIND.CLIENT && kind !== OTLP_KIND.PRODUCER) return undefined;
  const text = (key: string): string | undefined => {
    const value = attributes.get(key);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const address = text(ATTR_NETWORK_PEER_ADDRESS);
  const serviceName = text(ATTR_PEER_SERVICE) ?? text(ATTR_SERVER_ADDRESS);
  const port = attributes.get(ATTR_NETWORK_PEER_PORT) ?? attributes.get(ATTR_SERVER_PORT);
  if (address === undefined && serviceName === undefined) return undefined;
  return {
    serviceName,
    ipv4: address !== undefined && isIPv4(address) ? address : undefined,
    ipv6: address !== undefined && isIPv6(address) ? address : undefined,
    port: typeof port === "number" ? port : undefined,
  };
}

function annotationsOf(span: SpanView): { timestamp: number; value: string }[] {
  return messagesIn(span, EVENTS).map((event) => {
    const attributes = attributesOf(event, EVENT_ATTRIBUTES);
    const name = textIn(event, EVENT_NAME);
    const value =
      attributes.size === 0 ? name : `${JSON.stringify(name)}:${JSON.stringify(plain(attributes))}`;
    return { timestamp: timeOf(event), value };
  });
}

function timeOf(event: MessageView): number {
  const reader = new FieldReader().reset(event.bytes, event.start, event.end);
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== WIRE_FIXED64) continue;
    return microsecondsAt(event.bytes, reader.start);
  }
  return 0;
}

/** 2^32 nanoseconds are 4,294,967 microseconds and 296 nanoseconds: exact without big integers. */
function microsecondsAt(bytes: Uint8Array, at: number): number {
  const high = readFixed32(bytes, at + 4);
  return high * 4_294_967 + Math.floor((high * 296 + readFixed32(bytes, at)) / NS_PER_US);
}

function textOf(value: AttributeValue): string {
  if (typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(plain(value)) : String(value ?? "");
}

function plain(value: AttributeValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "bigint") return String(value);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, one]) => [key, plain(one)]));
  }
  return Array.isArray(value) ? value.map(plain) : value;
}
