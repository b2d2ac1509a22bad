// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  ExchangeEvents,
  ParserOptions,
  Protocol,
} from "../../model/protocol.ts";
import { OrderedConnection } from "../ordered-connection.ts";
import { detect } from "./detect.ts";
import { PostgresqlDialect } from "./dialect.ts";
import { PostgresqlShared } from "./shared.ts";

/** WIRE_PROTOCOL_POSTGRESQL of bpf/include/wire.h */
const WIRE_PROTOCOL_POSTGRESQL = 3;

/** Tables of one service live as long as the options object that its connections are given. */
const sharedByOptions = new WeakMap<ParserOptions, PostgresqlShared>();

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  let shared = sharedByOptions.get(options);
  if (shared === undefined) {
    shared = new PostgresqlShared(options);
    sharedByOptions.set(options, shared);
  }
  return new OrderedConnection(new PostgresqlDialect(shared, events), events);
}

export const POSTGRESQL: Protocol = {
  name: "postgresql",
  wireProtocol: WIRE_PROTOCOL_POSTGRESQL,
  detect,
  createParser,
};
