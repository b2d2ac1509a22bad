// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  ExchangeEvents,
  ParserOptions,
  Protocol,
} from "../../model/protocol.ts";
import { OrderedConnection } from "../ordered-connection.ts";
import { detect } from "./detect.ts";
import { RedisDialect, RedisShared } from "./dialect.ts";

/** WIRE_PROTOCOL_REDIS of bpf/include/wire.h */
const WIRE_PROTOCOL_REDIS = 2;

/** Tables of one service live as long as the options object that its connections are given. */
const sharedByOptions = new WeakMap<ParserOptions, RedisShared>();

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  let shared = sharedByOptions.get(options);
  if (shared === undefined) {
    shared = new RedisShared(options);
    sharedByOptions.set(options, shared);
  }
  return new OrderedConnection(new RedisDialect(shared, events), events);
}

export const REDIS: Protocol = {
  name: "redis",
  wireProtocol: WIRE_PROTOCOL_REDIS,
  detect,
  createParser,
};
