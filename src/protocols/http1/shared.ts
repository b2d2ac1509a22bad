// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_HTTP_REQUEST_HEADER,
  ATTR_HTTP_RESPONSE_HEADER,
} from "@opentelemetry/semantic-conventions";
import { type AttributeKey, attributeKey } from "../../model/attribute.ts";
import type { ParserOptions } from "../../model/protocol.ts";
import { AuthorityTable } from "./authority.ts";
import { Http1Exchange } from "./exchange.ts";
import { Head, type WantedHeader } from "./head.ts";
import { RouteTable } from "./route.ts";
import { SummaryCache } from "./summary-cache.ts";

const AUTHORITIES_MAX = 1024;
const POOL_MAX = 4096;

/** What the connections of one service (one `ParserOptions` object) have in common. */
export class Http1Shared {
  readonly options: ParserOptions;
  readonly head: Head = new Head();
  readonly routes: RouteTable;
  readonly summaries: SummaryCache = new SummaryCache();
  readonly authorities: AuthorityTable = new AuthorityTable(AUTHORITIES_MAX);
  readonly requestHeaders: readonly WantedHeader[];
  readonly responseHeaders: readonly WantedHeader[];
  readonly requestHeaderKeys: readonly AttributeKey[];
  readonly responseHeaderKeys: readonly AttributeKey[];
  readonly #pool: Http1Exchange[] = [];

  constructor(options: ParserOptions) {
    this.options = options;
    this.routes = new RouteTable(options.routesMax);
    this.requestHeaders = options.requestHeaders.map(wantedHeader);
    this.responseHeaders = options.responseHeaders.map(wantedHeader);
    this.requestHeaderKeys = options.requestHeaders.map((name) =>
      attributeKey(ATTR_HTTP_REQUEST_HEADER(name)),
    );
    this.responseHeaderKeys = options.responseHeaders.map((name) =>
      attributeKey(ATTR_HTTP_RESPONSE_HEADER(name)),
    );
  }

  createExchange(): Http1Exchange {
    return this.#pool.pop() ?? new Http1Exchange(this);
  }

  recycle(exchange: Http1Exchange): void {
    exchange.link = undefined;
    exchange.next = undefined;
    if (this.#pool.length < POOL_MAX) this.#pool.push(exchange);
  }
}

function wantedHeader(name: string): WantedHeader {
  return { utf8: new TextEncoder().encode(name.toLowerCase()), values: [] };
}
