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
import { RedisDialect, RedisShared } from "./dialect.ts";

/** WIRE_PROTOCOL_REDIS of bpf/include/wire.h */
const WIRE_PROTOCOL_REDIS = 2;

const sharedOf = perService((options) => new RedisShared(options));

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  return new OrderedConnection(new RedisDialect(sharedOf(options), events), events);
}

export const REDIS: Protocol = {
  name: "redis",
  wireProtocol: WIRE_PROTOCOL_REDIS,
  detect,
  createParser,
};
