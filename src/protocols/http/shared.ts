// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_HTTP_REQUEST_HEADER,
  ATTR_HTTP_RESPONSE_HEADER,
} from "@opentelemetry/semantic-conventions";
import {
  ATTR_RPC_REQUEST_HEADER,
  ATTR_RPC_RESPONSE_HEADER,
} from "@opentelemetry/semantic-conventions/incubating";
import { type AttributeKey, attributeKey } from "../../model/attribute.ts";
import type { ParserOptions } from "../../model/protocol.ts";
import { perService } from "../per-service.ts";
import { AuthorityTable } from "./authority.ts";
import { HttpExchange } from "./exchange.ts";
import { FieldNames } from "./fields.ts";
import { OperationTable } from "./operation.ts";
import { RouteTable } from "./route.ts";
import { SummaryCache } from "./summary-cache.ts";

const AUTHORITIES_MAX = 1024;
const POOL_MAX = 4096;

/** What the connections of one service (one `ParserOptions` object) have in common. */
export class HttpShared {
  readonly options: ParserOptions;
  readonly routes: RouteTable;
  readonly operations: OperationTable;
  readonly summaries: SummaryCache = new SummaryCache();
  readonly authorities: AuthorityTable = new AuthorityTable(AUTHORITIES_MAX);
  readonly names: FieldNames;
  readonly requestHeaderKeys: readonly AttributeKey[];
  readonly responseHeaderKeys: readonly AttributeKey[];
  readonly rpcRequestHeaderKeys: readonly AttributeKey[];
  readonly rpcResponseHeaderKeys: readonly AttributeKey[];
  readonly #pool: HttpExchange[] = [];

  constructor(options: ParserOptions) {
    const { requestHeaders, responseHeaders } = options;
    this.options = options;
    this.routes = new RouteTable(options.routesMax);
    this.operations = new OperationTable(options.routesMax);
    this.names = new FieldNames(requestHeaders, responseHeaders);
    this.requestHeaderKeys = keys(requestHeaders, ATTR_HTTP_REQUEST_HEADER);
    this.responseHeaderKeys = keys(responseHeaders, ATTR_HTTP_RESPONSE_HEADER);
    this.rpcRequestHeaderKeys = keys(requestHeaders, ATTR_RPC_REQUEST_HEADER);
    this.rpcResponseHeaderKeys = keys(responseHeaders, ATTR_RPC_RESPONSE_HEADER);
  }

  createExchange(): HttpExchange {
    return this.#pool.pop() ?? new HttpExchange(this);
  }

  recycle(exchange: HttpExchange): void {
    exchange.link = undefined;
    exchange.next = undefined;
    if (this.#pool.length < POOL_MAX) this.#pool.push(exchange);
  }
}

function keys(names: readonly string[], nameOf: (header: string) => string): AttributeKey[] {
  return names.map((name) => attributeKey(nameOf(name)));
}

/** One object for all HTTP connections of a service, whatever their version. */
export const httpShared: (options: ParserOptions) => HttpShared = perService(
  (options) => new HttpShared(options),
);
