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
import { ClickHouseDialect } from "./dialect.ts";
import { ClickHouseShared } from "./shared.ts";

const sharedOf = perService((options) => new ClickHouseShared(options));

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  return new OrderedConnection(new ClickHouseDialect(sharedOf(options), events), events);
}

export const CLICKHOUSE: Protocol = {
  name: "clickhouse",
  ports: [9000],
  detect,
  createParser,
};
