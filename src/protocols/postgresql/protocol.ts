// SPDX-License-Identifier: Apache-2.0
import type {
  ConnectionParser,
  ExchangeEvents,
  ParserOptions,
  Protocol,
} from "../../model/protocol.ts";
import { OrderedConnection } from "../ordered-connection.ts";
import { perService } from "../per-service.ts";
import { detect } from "./detect.ts";
import { PostgresqlDialect } from "./dialect.ts";
import { PostgresqlShared } from "./shared.ts";

/** WIRE_PROTOCOL_POSTGRESQL of bpf/include/wire.h */
const WIRE_PROTOCOL_POSTGRESQL = 3;

const sharedOf = perService((options) => new PostgresqlShared(options));

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  return new OrderedConnection(new PostgresqlDialect(sharedOf(options), events), events);
}

export const POSTGRESQL: Protocol = {
  name: "postgresql",
  wireProtocol: WIRE_PROTOCOL_POSTGRESQL,
  detect,
  createParser,
};
