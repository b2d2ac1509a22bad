// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../../model/protocol.ts";
import { type HttpShared, httpShared } from "../http/shared.ts";
import { Head, type WantedHeader } from "./head.ts";

/** What the HTTP/1 connections of one service have in common, beside what all HTTP has. */
export class Http1Shared {
  readonly options: ParserOptions;
  readonly http: HttpShared;
  readonly head: Head = new Head();
  readonly requestHeaders: readonly WantedHeader[];
  readonly responseHeaders: readonly WantedHeader[];

  constructor(options: ParserOptions) {
    this.options = options;
    this.http = httpShared(options);
    this.requestHeaders = options.requestHeaders.map(wantedHeader);
    this.responseHeaders = options.responseHeaders.map(wantedHeader);
  }
}

function wantedHeader(name: string): WantedHeader {
  return { utf8: new TextEncoder().encode(name.toLowerCase()), values: [] };
}
