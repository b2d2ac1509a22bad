// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  ExchangeEvents,
  ParserOptions,
  Protocol,
} from "../../model/protocol.ts";
import { detect } from "./detect.ts";
import { Http1Connection } from "./parse.ts";
import { Http1Shared } from "./shared.ts";

/** WIRE_PROTOCOL_HTTP1 of bpf/include/wire.h */
const WIRE_PROTOCOL_HTTP1 = 1;

/** Tables of one service live as long as the options object that its connections are given. */
const sharedByOptions = new WeakMap<ParserOptions, Http1Shared>();

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  let shared = sharedByOptions.get(options);
  if (shared === undefined) {
    shared = new Http1Shared(options);
    sharedByOptions.set(options, shared);
  }
  return new Http1Connection(shared, events);
}

export const HTTP1: Protocol = {
  name: "http1",
  wireProtocol: WIRE_PROTOCOL_HTTP1,
  detect,
  createParser,
};
