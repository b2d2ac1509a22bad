// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
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
import type { Http1Exchange } from "./exchange.ts";
import { METHOD_CONNECT, METHOD_NAMES, METHOD_OTHER } from "./methods.ts";
import { UrlWriter } from "./url.ts";

const KEYS = {
  errorType: attributeKey(ATTR_ERROR_TYPE),
  method: attributeKey(ATTR_HTTP_REQUEST_METHOD),
  methodOriginal: attributeKey(ATTR_HTTP_REQUEST_METHOD_ORIGINAL),
  status: attributeKey(ATTR_HTTP_RESPONSE_STATUS_CODE),
  route: attributeKey(ATTR_HTTP_ROUTE),
  version: attributeKey(ATTR_NETWORK_PROTOCOL_VERSION),
  serverAddress: attributeKey(ATTR_SERVER_ADDRESS),
  serverPort: attributeKey(ATTR_SERVER_PORT),
  urlFull: attributeKey(ATTR_URL_FULL),
  urlPath: attributeKey(ATTR_URL_PATH),
  urlQuery: attributeKey(ATTR_URL_QUERY),
  urlScheme: attributeKey(ATTR_URL_SCHEME),
  requestBodySize: attributeKey(ATTR_HTTP_REQUEST_BODY_SIZE),
  responseBodySize: attributeKey(ATTR_HTTP_RESPONSE_BODY_SIZE),
} as const;

const VERSIONS: readonly string[] = ["1.0", "1.1"];
const url = new UrlWriter();

/** By the HTTP span conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/ */
export function describeExchange(exchange: Http1Exchange, sink: SpanSink): void {
  const server = exchange.role === "server";
  const method = methodName(exchange);
  const route = exchange.route;
  if (route !== undefined) sink.name(route.spanName(exchange.methodIndex));
  else sink.name(exchange.methodIndex === METHOD_OTHER ? "HTTP" : method);
  sink.string(KEYS.method, method);
  if (exchange.methodOriginal !== "") sink.string(KEYS.methodOriginal, exchange.methodOriginal);
  describeUrl(exchange, sink);
  if (route !== undefined) sink.bytes(KEYS.route, route.utf8, 0, route.utf8.length);
  describeAuthority(exchange, sink);
  sink.string(KEYS.version, versionOf(exchange));
  describeStatus(exchange, sink);
  if (exchange.requestBodyBytes >= 0) sink.int(KEYS.requestBodySize, exchange.requestBodyBytes);
  if (exchange.responseBodyBytes >= 0) sink.int(KEYS.responseBodySize, exchange.responseBodyBytes);
  if (exchange.requestHeaders.length > 0) {
    describeHeaders(sink, exchange.shared.requestHeaderKeys, exchange.requestHeaders);
  }
  if (exchange.responseHeaders.length > 0) {
    describeHeaders(sink, exchange.shared.responseHeaderKeys, exchange.responseHeaders);
  }
  if (isError(exchange, server)) sink.error("");
}

/** By the HTTP metric conventions, https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ */
export function measureExchange(exchange: Http1Exchange, sink: MeasurementSink): void {
  const server = exchange.role === "server";
  sink.instrument(
    server ? METRIC_HTTP_SERVER_REQUEST_DURATION : METRIC_HTTP_CLIENT_REQUEST_DURATION,
  );
  sink.string(KEYS.method, methodName(exchange));
  sink.string(KEYS.urlScheme, schemeOf(exchange));
  const route = exchange.route;
  if (route !== undefined) sink.bytes(KEYS.route, route.utf8, 0, route.utf8.length);
  // For servers these are opt-in: the Host field is the client's to choose.
  if (!server) describeAuthority(exchange, sink);
  sink.string(KEYS.version, versionOf(exchange));
  describeStatus(exchange, sink);
}

function methodName(exchange: Http1Exchange): string {
  return METHOD_NAMES[exchange.methodIndex] ?? "_OTHER";
}

function versionOf(exchange: Http1Exchange): string {
  return VERSIONS[exchange.minor] ?? `1.${exchange.minor}`;
}

function schemeOf(exchange: Http1Exchange): string {
  return exchange.https ? "https" : "http";
}

function describeUrl(exchange: Http1Exchange, sink: SpanSink): void {
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
  sink.string(KEYS.urlScheme, schemeOf(exchange));
  if (!withQuery) return;
  url.reset();
  url.redactedQuery(target, exchange.queryStart, exchange.targetEnd);
  sink.bytes(KEYS.urlQuery, url.bytes, 0, url.length);
}

function describeAuthority(exchange: Http1Exchange, sink: AttributeSink): void {
  if (exchange.authority === undefined) return;
  sink.string(KEYS.serverAddress, exchange.authority.address);
  sink.int(KEYS.serverPort, exchange.authority.port);
}

function describeStatus(exchange: Http1Exchange, sink: AttributeSink): void {
  if (exchange.status > 0) sink.int(KEYS.status, exchange.status);
  if (exchange.failure !== "") sink.string(KEYS.errorType, exchange.failure);
  else if (isError(exchange, exchange.role === "server")) {
    sink.string(KEYS.errorType, String(exchange.status));
  }
}

function isError(exchange: Http1Exchange, server: boolean): boolean {
  return exchange.failure !== "" || exchange.status >= (server ? 500 : 400);
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
