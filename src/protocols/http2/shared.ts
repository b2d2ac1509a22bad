// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../../model/protocol.ts";
import type { HttpExchange } from "../http/exchange.ts";
import { type HttpShared, httpShared } from "../http/shared.ts";
import { perService } from "../per-service.ts";
import { HeadSink } from "./head-sink.ts";
import { HpackShared } from "./hpack.ts";
import { Stream } from "./streams.ts";

const POOL_MAX = 4096;

/** What the HTTP/2 connections of one service have in common, beside what all HTTP has. */
export class Http2Shared {
  readonly http: HttpShared;
  readonly hpack: HpackShared;
  readonly sink: HeadSink;
  readonly #pool: Stream[] = [];

  constructor(options: ParserOptions) {
    this.http = httpShared(options);
    this.hpack = new HpackShared(this.http.names);
    this.sink = new HeadSink(this.http);
  }

  createStream(id: number, exchange: HttpExchange): Stream {
    const stream = this.#pool.pop() ?? new Stream(exchange);
    stream.reset(id, exchange);
    return stream;
  }

  /** With its exchange. */
  recycle(stream: Stream): void {
    this.http.recycle(stream.exchange);
    if (this.#pool.length < POOL_MAX) this.#pool.push(stream);
  }
}

export const http2Shared: (options: ParserOptions) => Http2Shared = perService(
  (options) => new Http2Shared(options),
);
