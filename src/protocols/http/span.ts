// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
  HTTP_REQUEST_METHOD_VALUE_OTHER,
  METRIC_HTTP_CLIENT_REQUEST_DURATION,
  METRIC_HTTP_SERVER_REQUEST_DURATION,
} from "@opentelemetry/semantic-conventions";
import {
  ATTR_HTTP_REQUEST_BODY_SIZE,
  ATTR_HTTP_RESPONSE_BODY_SIZE,
} from "@opentelemetry/semantic-conventions/incubating";
import {
  type AttributeKey,
  type AttributeSink,
  attributeKey,
  type MeasurementSink,
  type SpanSink,
} from "../../model/attribute.ts";
import type { Role } from "../../model/protocol.ts";
import type { Authority } from "./authority.ts";
import { describeAws, describeAwsDetails, measureAws } from "./aws.ts";
import { describeAuthority } from "./describe-authority.ts";
import type { HttpExchange } from "./exchange.ts";
import { METHOD_CONNECT, METHOD_NAMES, METHOD_OTHER } from "./methods.ts";
import type { Operation } from "./operation.ts";
import type { Route } from "./route.ts";
import { describeRpc, describeRpcDetails, measureRpc } from "./rpc.ts";
import { describeSearch, measureSearch } from "./search.ts";
import { AWS, HTTP, SEARCH, type Semantics } from "./semantics.ts";
import { UrlWriter } from "./url.ts";

const KEYS = {
  errorType: attributeKey(ATTR_ERROR_TYPE),
  method: attributeKey(ATTR_HTTP_REQUEST_METHOD),
  methodOriginal: attributeKey(ATTR_HTTP_REQUEST_METHOD_ORIGINAL),
  status: attributeKey(ATTR_HTTP_RESPONSE_STATUS_CODE),
  route: attributeKey(ATTR_HTTP_ROUTE),
  version: attributeKey(ATTR_NETWORK_PROTOCOL_VERSION),
  urlFull: attributeKey(ATTR_URL_FULL),
  urlPath: attributeKey(ATTR_URL_PATH),
  urlQuery: attributeKey(ATTR_URL_QUERY),
  urlScheme: attributeKey(ATTR_URL_SCHEME),
  userAgent: attributeKey(ATTR_USER_AGENT_ORIGINAL),
  requestBodySize: attributeKey(ATTR_HTTP_REQUEST_BODY_SIZE),
  responseBodySize: attributeKey(ATTR_HTTP_RESPONSE_BODY_SIZE),
} as const;

const VERSIONS: readonly (readonly [number, string])[] = [
  [10, "1.0"],
  [11, "1.1"],
  [20, "2"],
];
const url = new UrlWriter();

/**
 * What spans have in common decides what the measurement is too: these fields, each of few values.
 */
export interface Summary {
  readonly role: Role;
  readonly semantics: Semantics;
  /** Undefined for plain HTTP, and where it is not known. */
  readonly operation: Operation | undefined;
  readonly methodIndex: number;
  readonly route: Route | undefined;
  readonly authority: Authority | undefined;
  /** 10 times major plus minor. */
  readonly version: number;
  readonly status: number;
  /** -1 when there is none. */
  readonly grpcStatus: number;
  readonly https: boolean;
  /** `error.type` of an exchange that the connection's end cut short, else empty. */
  readonly failure: string;
  /** A PRODUCT_ value. */
  readonly product: number;
}

/** By the conventions that `summary.semantics` names. */
export function describeSummary(summary: Summary, sink: SpanSink): void {
  if (summary.semantics === HTTP) describeHttp(summary, sink);
  else if (summary.semantics === SEARCH) describeSearch(summary, sink);
  else if (summary.semantics === AWS) describeAws(summary, sink);
  else describeRpc(summary, sink);
}

/** By the conventions that `summary.semantics` names. */
export function measureSummary(summary: Summary, sink: MeasurementSink): void {
  if (summary.semantics === HTTP) measureHttp(summary, sink);
  else if (summary.semantics === SEARCH) measureSearch(summary, sink);
  else if (summary.semantics === AWS) measureAws(summary, sink);
  else measureRpc(summary, sink);
}

/** By the HTTP span conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/ */
function describeHttp(summary: Summary, sink: SpanSink): void {
  const server = summary.role === "server";
  const method = METHOD_NAMES[summary.methodIndex] ?? HTTP_REQUEST_METHOD_VALUE_OTHER;
  const route = summary.route;
  if (route !== undefined) sink.name(route.spanName(summary.methodIndex));
  else sink.name(summary.methodIndex === METHOD_OTHER ? "HTTP" : method);
  sink.string(KEYS.method, method);
  if (server && summary.methodIndex !== METHOD_CONNECT) {
    sink.string(KEYS.urlScheme, schemeOf(summary));
  }
  if (route !== undefined) sink.bytes(KEYS.route, route.utf8, 0, route.utf8.length);
  describeAuthority(summary, sink);
  sink.string(KEYS.version, versionOf(summary));
  describeStatus(summary, sink);
  if (isError(summary)) sink.error("");
}

/** By the HTTP metric conventions, https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ */
function measureHttp(summary: Summary, sink: MeasurementSink): void {
  const server = summary.role === "server";
  sink.instrument(
    server ? METRIC_HTTP_SERVER_REQUEST_DURATION : METRIC_HTTP_CLIENT_REQUEST_DURATION,
  );
  sink.string(KEYS.method, METHOD_NAMES[summary.methodIndex] ?? HTTP_REQUEST_METHOD_VALUE_OTHER);
  sink.string(KEYS.urlScheme, schemeOf(summary));
  const route = summary.route;
  if (route !== undefined) sink.bytes(KEYS.route, route.utf8, 0, route.utf8.length);
  // For servers these are opt-in: the Host field is the client's to choose.
  if (!server) describeAuthority(summary, sink);
  sink.string(KEYS.version, versionOf(summary));
  describeStatus(summary, sink);
}

/** What only this span has. */
export function describeDetails(exchange: HttpExchange, sink: SpanSink): void {
  const { shared, semantics } = exchange;
  const plain = semantics === HTTP;
  if (plain || semantics === SEARCH) {
    if (exchange.methodOriginal !== "") sink.string(KEYS.methodOriginal, exchange.methodOriginal);
    describeUrl(exchange, sink);
    if (exchange.requestBodyBytes >= 0) sink.int(KEYS.requestBodySize, exchange.requestBodyBytes);
    if (exchange.responseBodyBytes >= 0) {
      sink.int(KEYS.responseBodySize, exchange.responseBodyBytes);
    }
  } else if (semantics === AWS) describeAwsDetails(exchange, sink);
  else describeRpcDetails(exchange, sink);
  const http = plain || semantics === SEARCH || semantics === AWS;
  if (exchange.requestHeaders.length > 0) {
    describeUserAgent(exchange, sink);
    const keys = http ? shared.requestHeaderKeys : shared.rpcRequestHeaderKeys;
    describeHeaders(sink, keys, exchange.requestHeaders);
  }
  if (exchange.responseHeaders.length > 0) {
    const keys = http ? shared.responseHeaderKeys : shared.rpcResponseHeaderKeys;
    describeHeaders(sink, keys, exchange.responseHeaders);
  }
}

function versionOf(summary: Summary): string {
  for (const [version, name] of VERSIONS) if (version === summary.version) return name;
  return `1.${summary.version - 10}`;
}

function schemeOf(summary: Summary): string {
  return summary.https ? "https" : "http";
}

function describeUrl(exchange: HttpExchange, sink: SpanSink): void {
  if (exchange.methodIndex === METHOD_CONNECT) return;
  const target = exchange.target;
  const withQuery = exchange.shared.options.urlQuery && exchange.queryStart < exchange.targetEnd;
  if (exchange.role === "client" && exchange.authority !== undefined) {
    url.start(schemeOf(exchange), exchange.authority.bytes);
    url.path(target, exchange.pathStart, exchange.pathEnd);
    if (withQuery) url.query(target, exchange.queryStart, exchange.targetEnd);
    sink.bytes(KEYS.urlFull, url.bytes, 0, url.length);
    return;
  }
  if (exchange.pathEnd > exchange.pathStart) {
    sink.bytes(KEYS.urlPath, target, exchange.pathStart, exchange.pathEnd);
  } else if (exchange.known) sink.string(KEYS.urlPath, "/");
  // A client's scheme is otherwise in its url.full.
  if (exchange.role === "client") sink.string(KEYS.urlScheme, schemeOf(exchange));
  if (!withQuery) return;
  url.reset();
  url.redactedQuery(target, exchange.queryStart, exchange.targetEnd);
  sink.bytes(KEYS.urlQuery, url.bytes, 0, url.length);
}

function describeStatus(summary: Summary, sink: AttributeSink): void {
  if (summary.status > 0) sink.int(KEYS.status, summary.status);
  if (summary.failure !== "") sink.string(KEYS.errorType, summary.failure);
  else if (isError(summary)) sink.string(KEYS.errorType, String(summary.status));
}

function isError(summary: Summary): boolean {
  const errorStatus = summary.role === "server" ? 500 : 400;
  return summary.failure !== "" || summary.status >= errorStatus;
}

/** A header value: given to those who ask for the header. */
function describeUserAgent(exchange: HttpExchange, sink: SpanSink): void {
  const index = exchange.shared.options.requestHeaders.indexOf("user-agent");
  const value = exchange.requestHeaders[index]?.[0];
  if (value !== undefined) sink.string(KEYS.userAgent, value);
}

function describeHeaders(
  sink: SpanSink,
  keys: readonly AttributeKey[],
  headers: readonly (readonly string[])[],
): void {
  for (const [index, values] of headers.entries()) {
    const key = keys[index];
    if (key !== undefined && values.length > 0) sink.stringArray(key, values);
  }
}
