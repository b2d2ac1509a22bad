// SPDX-License-Identifier: Apache-2.0
import { isIPv4 } from "node:net";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { type MessageView, messagesIn, textIn } from "../pdata/span-view.ts";
import { FieldReader, readFixed32, WIRE_BYTES, WIRE_FIXED64 } from "../pdata/wire.ts";
import { ZIPKIN_KINDS, type ZipkinEndpoint, type ZipkinSpan } from "./span.ts";

/** Fields of zipkin.proto. */
const LIST_SPANS = 1;
const SPAN = {
  traceId: 1,
  parentId: 2,
  id: 3,
  kind: 4,
  name: 5,
  timestamp: 6,
  duration: 7,
  local: 8,
  remote: 9,
  annotations: 10,
  tags: 11,
  debug: 12,
  shared: 13,
} as const;
const BYTES = WIRE_BYTES;

/** A `ListOfSpans`. Undefined when it is malformed. */
export function decodeZipkinProto(bytes: Uint8Array): ZipkinSpan[] | undefined {
  const reader = new FieldReader().reset(bytes, 0, bytes.length);
  const spans: ZipkinSpan[] = [];
  while (reader.next()) {
    if (reader.field !== LIST_SPANS || reader.wireType !== BYTES) continue;
    const span = spanOf({ bytes, start: reader.start, end: reader.stop });
    if (span === undefined) return undefined;
    spans.push(span);
  }
  return reader.errorAt < 0 ? spans : undefined;
}

function spanOf(view: MessageView): ZipkinSpan | undefined {
  const numbers = new Map<number, number>();
  const ids = new Map<number, string>();
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  while (reader.next()) {
    const { field, wireType } = reader;
    if (wireType === BYTES && field <= SPAN.id) {
      ids.set(field, Buffer.from(view.bytes.subarray(reader.start, reader.stop)).toString("hex"));
    } else if (wireType === WIRE_FIXED64) numbers.set(field, fixed64(view.bytes, reader.start));
    else if (wireType !== BYTES) numbers.set(field, reader.high * 2 ** 32 + reader.low);
  }
  if (reader.errorAt >= 0) return undefined;
  const [local] = messagesIn(view, SPAN.local);
  const [remote] = messagesIn(view, SPAN.remote);
  const tags = messagesIn(view, SPAN.tags).map((tag) => [textIn(tag, 1), textIn(tag, 2)] as const);
  return {
    traceId: ids.get(SPAN.traceId) ?? "",
    id: ids.get(SPAN.id) ?? "",
    parentId: ids.get(SPAN.parentId),
    kind: ZIPKIN_KINDS[(numbers.get(SPAN.kind) ?? 0) - 1],
    name: textIn(view, SPAN.name),
    timestamp: numbers.get(SPAN.timestamp),
    duration: numbers.get(SPAN.duration),
    localEndpoint: local === undefined ? undefined : endpointOf(local),
    remoteEndpoint: remote === undefined ? undefined : endpointOf(remote),
    annotations: messagesIn(view, SPAN.annotations).map((one) => ({
      timestamp: timeIn(one),
      value: textIn(one, 2),
    })),
    tags: Object.fromEntries(tags),
    debug: numbers.get(SPAN.debug) === 1,
    shared: numbers.get(SPAN.shared) === 1,
  };
}

function timeIn(view: MessageView): number {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  let time = 0;
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === WIRE_FIXED64) {
      time = fixed64(view.bytes, reader.start);
    }
  }
  return time;
}

function fixed64(bytes: Uint8Array, at: number): number {
  return readFixed32(bytes, at + 4) * 2 ** 32 + readFixed32(bytes, at);
}

function endpointOf(view: MessageView): ZipkinEndpoint {
  const reader = new FieldReader().reset(view.bytes, view.start, view.end);
  let ipv4: string | undefined;
  let ipv6: string | undefined;
  let port: number | undefined;
  while (reader.next()) {
    const value = view.bytes.subarray(reader.start, reader.stop);
    if (reader.field === 2 && value.length === 4) ipv4 = value.join(".");
    else if (reader.field === 3 && value.length === 16) {
      const hex = Buffer.from(value).toString("hex");
      ipv6 = new URL(`http://[${hex.replace(/.{4}(?=.)/g, "$&:")}]`).hostname.slice(1, -1);
    } else if (reader.field === 4 && reader.wireType !== BYTES) port = reader.low;
  }
  return { serviceName: textIn(view, 1) || undefined, ipv4, ipv6, port };
}

/** A `ListOfSpans`. */
export function encodeZipkinProto(spans: readonly ZipkinSpan[]): Uint8Array {
  const out = new ProtoWriter();
  for (const span of spans) {
    const start = out.beginMessage(tagOf(LIST_SPANS, BYTES));
    writeSpan(out, span);
    out.endMessage(start);
  }
  return out.take();
}

function tagOf(field: number, wireType: number): number {
  return field * 8 + wireType;
}

function writeSpan(out: ProtoWriter, span: ZipkinSpan): void {
  out.bytesField(tagOf(SPAN.traceId, BYTES), Buffer.from(span.traceId, "hex"));
  if (span.parentId !== undefined) {
    out.bytesField(tagOf(SPAN.parentId, BYTES), Buffer.from(span.parentId, "hex"));
  }
  out.bytesField(tagOf(SPAN.id, BYTES), Buffer.from(span.id, "hex"));
  if (span.kind !== undefined) varint(out, SPAN.kind, ZIPKIN_KINDS.indexOf(span.kind) + 1);
  if (span.name !== undefined) out.stringField(tagOf(SPAN.name, BYTES), span.name);
  if (span.timestamp !== undefined) time(out, SPAN.timestamp, span.timestamp);
  if (span.duration !== undefined) varint(out, SPAN.duration, span.duration);
  if (span.localEndpoint !== undefined) writeEndpoint(out, SPAN.local, span.localEndpoint);
  if (span.remoteEndpoint !== undefined) writeEndpoint(out, SPAN.remote, span.remoteEndpoint);
  for (const { timestamp, value } of span.annotations ?? []) {
    const start = out.beginMessage(tagOf(SPAN.annotations, BYTES));
    time(out, 1, timestamp);
    out.stringField(tagOf(2, BYTES), value);
    out.endMessage(start);
  }
  for (const [key, value] of Object.entries(span.tags ?? {})) {
    const start = out.beginMessage(tagOf(SPAN.tags, BYTES));
    out.stringField(tagOf(1, BYTES), key);
    out.stringField(tagOf(2, BYTES), value);
    out.endMessage(start);
  }
}

function writeEndpoint(out: ProtoWriter, field: number, endpoint: ZipkinEndpoint): void {
  const start = out.beginMessage(tagOf(field, BYTES));
  const { serviceName, ipv4, ipv6, port } = endpoint;
  if (serviceName !== undefined) out.stringField(tagOf(1, BYTES), serviceName);
  if (ipv4 !== undefined && isIPv4(ipv4)) {
    out.bytesField(tagOf(2, BYTES), Uint8Array.from(ipv4.split("."), Number));
  }
  if (ipv6 !== undefined) out.bytesField(tagOf(3, BYTES), ipv6Bytes(ipv6));
  if (port !== undefined) varint(out, 4, port);
  out.endMessage(start);
}

function ipv6Bytes(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const words = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  const hex = [...before, ...zeros, ...after].map((word) => word.padStart(4, "0")).join("");
  return Buffer.from(hex, "hex");
}

function varint(out: ProtoWriter, field: number, value: number): void {
  out.reserve(12);
  out.byte(tagOf(field, 0));
  out.varint(value);
}

function time(out: ProtoWriter, field: number, us: number): void {
  out.reserve(9);
  out.byte(tagOf(field, WIRE_FIXED64));
  out.fixed64(us % 2 ** 32, Math.floor(us / 2 ** 32));
}
