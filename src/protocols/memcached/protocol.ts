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
import { MemcachedDialect } from "./dialect.ts";
import { MemcachedShared } from "./exchange.ts";

const sharedOf = perService((options) => new MemcachedShared(options));

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  return new OrderedConnection(new MemcachedDialect(sharedOf(options), events), events);
}

export const MEMCACHED: Protocol = {
  name: "memcached",
  ports: [11211],
  detect,
  createParser,
};
