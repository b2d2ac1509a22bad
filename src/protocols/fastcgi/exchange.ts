// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  HTTP_REQUEST_METHOD_VALUE_OTHER,
} from "@opentelemetry/semantic-conventions";
import { attributeKey, type SpanSink } from "../../model/attribute.ts";
import type { TraceContext } from "../../model/protocol.ts";
import { METHOD_NAMES } from "../http/methods.ts";
import type { Description, PooledExchange } from "../pooled-exchange.ts";

class FastCgiTraceContext implements TraceContext {
  readonly traceId: Uint8Array = new Uint8Array(16);
  readonly spanId: Uint8Array = new Uint8Array(8);
  sampled = false;
  readonly header = "traceparent";
}

/** What a web server hands on of a request. */
export interface FastCgiDetails {
  method: string;
  path: string;
  query: string;
  route: string;
  scheme: string;
  serverName: string;
  serverPort: number;
  status: number;
  readonly context: FastCgiTraceContext;
}

export type FastCgiExchange = PooledExchange<FastCgiDetails>;

const KEYS = {
  method: attributeKey(ATTR_HTTP_REQUEST_METHOD),
  methodOriginal: attributeKey(ATTR_HTTP_REQUEST_METHOD_ORIGINAL),
  path: attributeKey(ATTR_URL_PATH),
  query: attributeKey(ATTR_URL_QUERY),
  scheme: attributeKey(ATTR_URL_SCHEME),
  route: attributeKey(ATTR_HTTP_ROUTE),
  status: attributeKey(ATTR_HTTP_RESPONSE_STATUS_CODE),
  serverName: attributeKey(ATTR_SERVER_ADDRESS),
  serverPort: attributeKey(ATTR_SERVER_PORT),
  protocol: attributeKey(ATTR_NETWORK_PROTOCOL_NAME),
  errorType: attributeKey(ATTR_ERROR_TYPE),
} as const;

function reset(details: FastCgiDetails): void {
  details.method = "";
  details.path = "";
  details.query = "";
  details.route = "";
  details.scheme = "";
  details.serverName = "";
  details.serverPort = 0;
  details.status = 0;
}

/**
 * By https://opentelemetry.io/docs/specs/semconv/http/http-spans/. No metric: the web server's
 * own connection has that of the request already.
 */
export const FASTCGI_DESCRIPTION: Description<FastCgiDetails> = {
  createDetails: () => ({
    method: "",
    path: "",
    query: "",
    route: "",
    scheme: "",
    serverName: "",
    serverPort: 0,
    status: 0,
    context: new FastCgiTraceContext(),
  }),
  resetDetails: reset,
  describe,
  measure: () => undefined,
};

function describe(exchange: FastCgiExchange, sink: SpanSink): void {
  const { details, role } = exchange;
  const isKnown = METHOD_NAMES.includes(details.method);
  const method = isKnown ? details.method : "HTTP";
  sink.name(details.route === "" ? method : `${method} ${details.route}`);
  if (isKnown) sink.string(KEYS.method, details.method);
  else if (details.method !== "") {
    sink.string(KEYS.method, HTTP_REQUEST_METHOD_VALUE_OTHER);
    sink.string(KEYS.methodOriginal, details.method);
  }
  if (details.route !== "") sink.string(KEYS.route, details.route);
  if (details.path !== "") sink.string(KEYS.path, details.path);
  if (details.query !== "") sink.string(KEYS.query, details.query);
  if (details.scheme !== "") sink.string(KEYS.scheme, details.scheme);
  if (details.serverName !== "") {
    sink.string(KEYS.serverName, details.serverName);
    if (details.serverPort > 0) sink.int(KEYS.serverPort, details.serverPort);
  }
  if (details.status > 0) sink.int(KEYS.status, details.status);
  sink.string(KEYS.protocol, "fastcgi");
  const isError = details.status >= (role === "server" ? 500 : 400);
  const error = exchange.errorType === "" && isError ? String(details.status) : exchange.errorType;
  if (error === "") return;
  sink.string(KEYS.errorType, error);
  sink.error("");
}
