// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_METHOD_ORIGINAL,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_CLIENT_CALL_DURATION,
  METRIC_RPC_SERVER_CALL_DURATION,
  RPC_SYSTEM_NAME_VALUE_DUBBO,
  RPC_SYSTEM_NAME_VALUE_GRPC,
} from "@opentelemetry/semantic-conventions";
import { RPC_SYSTEM_NAME_VALUE_CONNECTRPC } from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../../model/attribute.ts";
import { describeAuthority } from "./describe-authority.ts";
import type { HttpExchange } from "./exchange.ts";
import type { Operation, OperationTable } from "./operation.ts";
import { CONNECT, DUBBO, type Semantics } from "./semantics.ts";
import type { Summary } from "./span.ts";

/** Media types of requests. */
export const CONTENT_OTHER = 0;
export const CONTENT_GRPC = 1;
export const CONTENT_GRPC_WEB = 2;
/** In base64: its messages are not counted. */
export const CONTENT_GRPC_WEB_TEXT = 3;
export const CONTENT_TRIPLE = 4;
export const CONTENT_CONNECT = 5;

const SLASH = 47;
const METHOD_BYTES_MAX = 256;

const KEYS = {
  system: attributeKey(ATTR_RPC_SYSTEM_NAME),
  method: attributeKey(ATTR_RPC_METHOD),
  methodOriginal: attributeKey(ATTR_RPC_METHOD_ORIGINAL),
  status: attributeKey(ATTR_RPC_STATUS_CODE),
  errorType: attributeKey(ATTR_ERROR_TYPE),
  /** The conventions have no attribute for the messages of a call; README.md. */
  requestMessages: attributeKey("rpc.request.message_count"),
  responseMessages: attributeKey("rpc.response.message_count"),
} as const;

/** https://grpc.io/docs/guides/status-codes/ */
const STATUS_NAMES: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

export const GRPC_DEADLINE_EXCEEDED = 4;
const GRPC_UNKNOWN = 2;
const GRPC_PERMISSION_DENIED = 7;
const GRPC_UNIMPLEMENTED = 12;
const GRPC_INTERNAL = 13;
const GRPC_UNAVAILABLE = 14;
const GRPC_UNAUTHENTICATED = 16;

/** Statuses that the conventions call errors of a server. */
const SERVER_ERRORS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** The call's method; undefined when the path is unknown or none of a method. */
export function rpcOperation(
  exchange: HttpExchange,
  operations: OperationTable,
): Operation | undefined {
  const { target, pathStart, pathEnd } = exchange;
  const length = pathEnd - pathStart;
  if (length < 4 || length > METHOD_BYTES_MAX || target[pathStart] !== SLASH) return undefined;
  const slash = target.subarray(pathStart, pathEnd).indexOf(SLASH, 1);
  if (slash < 2 || slash === length - 1) return undefined;
  // Whoever asks for methods that the server does not have may not fill the table.
  const refused = exchange.role === "server" && rpcStatusOf(exchange) === GRPC_UNIMPLEMENTED;
  return operations.byPath(target, pathStart + 1, pathEnd, refused) ?? operations.other;
}

/** By https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/ */
export function describeRpc(summary: Summary, sink: SpanSink): void {
  const system = systemOf(summary.semantics);
  const spanName = summary.operation?.spanName ?? "";
  sink.name(spanName === "" ? system : spanName);
  describeCall(summary, sink);
  describeAuthority(summary, sink);
  if (errorOf(summary) !== "") sink.error("");
}

/** By https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/ */
export function measureRpc(summary: Summary, sink: MeasurementSink): void {
  const server = summary.role === "server";
  sink.instrument(server ? METRIC_RPC_SERVER_CALL_DURATION : METRIC_RPC_CLIENT_CALL_DURATION);
  describeCall(summary, sink);
  if (!server) describeAuthority(summary, sink);
}

/** What only this call has. */
export function describeRpcDetails(exchange: HttpExchange, sink: SpanSink): void {
  const { target, pathStart, pathEnd, requestMessages, responseMessages } = exchange;
  if (exchange.operation === exchange.shared.operations.other) {
    sink.bytes(KEYS.methodOriginal, target, pathStart + 1, pathEnd);
  }
  if (!hasMessages(exchange)) return;
  if (requestMessages.complete) sink.int(KEYS.requestMessages, requestMessages.count);
  if (responseMessages.complete) sink.int(KEYS.responseMessages, responseMessages.count);
}

function describeCall(summary: Summary, sink: AttributeSink): void {
  sink.string(KEYS.system, systemOf(summary.semantics));
  if (summary.operation !== undefined) sink.string(KEYS.method, summary.operation.name);
  const status = rpcStatusOf(summary);
  if (status >= 0) sink.string(KEYS.status, statusName(status));
  const error = errorOf(summary);
  if (error !== "") sink.string(KEYS.errorType, error);
}

function systemOf(semantics: Semantics): string {
  if (semantics === CONNECT) return RPC_SYSTEM_NAME_VALUE_CONNECTRPC;
  return semantics === DUBBO ? RPC_SYSTEM_NAME_VALUE_DUBBO : RPC_SYSTEM_NAME_VALUE_GRPC;
}

interface Outcome {
  readonly role: Summary["role"];
  readonly semantics: Semantics;
  readonly grpcStatus: number;
  readonly status: number;
  readonly failure: string;
}

/** The status that the server returned or that a client's library makes of what it got; or -1. */
function rpcStatusOf(outcome: Outcome): number {
  if (outcome.grpcStatus >= 0 || outcome.semantics === CONNECT) return outcome.grpcStatus;
  if (outcome.failure !== "") return outcome.role === "client" ? GRPC_UNAVAILABLE : -1;
  return outcome.status === 0 || outcome.status === 200 ? -1 : statusOfHttp(outcome.status);
}

/** https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
function statusOfHttp(status: number): number {
  if (status === 400) return GRPC_INTERNAL;
  if (status === 401) return GRPC_UNAUTHENTICATED;
  if (status === 403) return GRPC_PERMISSION_DENIED;
  if (status === 404) return GRPC_UNIMPLEMENTED;
  const busy = status === 429 || (status >= 502 && status <= 504);
  return busy ? GRPC_UNAVAILABLE : GRPC_UNKNOWN;
}

function statusName(status: number): string {
  return STATUS_NAMES[status] ?? String(status);
}

function errorOf(summary: Summary): string {
  const status = rpcStatusOf(summary);
  if (status >= 0 && (summary.failure === "" || summary.grpcStatus >= 0)) {
    const isError = summary.role === "server" ? SERVER_ERRORS.has(status) : status !== 0;
    return isError ? statusName(status) : "";
  }
  if (summary.failure !== "") return summary.failure;
  if (summary.semantics !== CONNECT) return "";
  const errorStatus = summary.role === "server" ? 500 : 400;
  return summary.status >= errorStatus ? String(summary.status) : "";
}

const TEXTS = {
  grpcWebText: text("application/grpc-web-text"),
  grpcWeb: text("application/grpc-web"),
  grpc: text("application/grpc"),
  triple: text("application/triple"),
  connect: text("application/connect+"),
} as const;

/** The CONTENT_ value of a Content-Type field's value. */
export function contentOf(bytes: Uint8Array, start: number, end: number): number {
  if (begins(bytes, start, end, TEXTS.grpcWebText)) return CONTENT_GRPC_WEB_TEXT;
  if (begins(bytes, start, end, TEXTS.grpcWeb)) return CONTENT_GRPC_WEB;
  if (begins(bytes, start, end, TEXTS.grpc)) return CONTENT_GRPC;
  if (begins(bytes, start, end, TEXTS.triple)) return CONTENT_TRIPLE;
  return begins(bytes, start, end, TEXTS.connect) ? CONTENT_CONNECT : CONTENT_OTHER;
}

/** The bodies are length-prefixed messages, as they are. */
export function hasMessages(exchange: HttpExchange): boolean {
  return exchange.content !== CONTENT_OTHER && exchange.content !== CONTENT_GRPC_WEB_TEXT;
}

/** Decimal, 0 to 999; -1 for anything else. */
export function grpcStatusOf(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > 3) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Nanoseconds of a unit by its letter. */
const UNITS_NS: ReadonlyMap<number, number> = new Map([
  [72, 3600e9],
  [77, 60e9],
  [83, 1e9],
  [109, 1e6],
  [117, 1e3],
  [110, 1],
]);

/** A grpc-timeout field's value in nanoseconds: up to eight digits and a unit. 0 for anything else. */
export function timeoutNsOf(bytes: Uint8Array, start: number, end: number): number {
  const unitNs = UNITS_NS.get(bytes[end - 1] ?? 0);
  if (unitNs === undefined || end - start < 2 || end - start > 9) return 0;
  let value = 0;
  for (let at = start; at < end - 1; at++) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value * unitNs;
}

const GRPC_STATUS_FIELD = /^grpc-status:[ \t]*(\d{1,3})[ \t]*\r?$/im;

/** The status in gRPC-Web's block of trailers, or -1. */
export function grpcWebStatus(trailers: Uint8Array): number {
  if (trailers.length === 0) return -1;
  const found = GRPC_STATUS_FIELD.exec(new TextDecoder("latin1").decode(trailers));
  return found?.[1] === undefined ? -1 : Number(found[1]);
}

/** RFC 9113 section 7 to gRPC, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md "Errors". */
const STATUS_OF_RESET: readonly number[] = [13, 13, 13, 13, 13, 2, 13, 14, 1, 13, 13, 8, 7, 2];

export function statusOfReset(code: number): number {
  return STATUS_OF_RESET[code] ?? GRPC_UNKNOWN;
}

function begins(bytes: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  if (end - start < expected.length) return false;
  for (let index = 0; index < expected.length; index++) {
    const byte = bytes[start + index] ?? 0;
    if ((byte >= 65 && byte <= 90 ? byte | 0x20 : byte) !== expected[index]) return false;
  }
  return true;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
