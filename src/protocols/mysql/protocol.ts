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
import { MysqlDialect } from "./dialect.ts";
import { MysqlShared } from "./exchange.ts";

const sharedOf = perService((options) => new MysqlShared(options));

function createParser(options: ParserOptions, events: ExchangeEvents): ConnectionParser {
  return new OrderedConnection(new MysqlDialect(sharedOf(options), events), events);
}

export const MYSQL: Protocol = {
  name: "mysql",
  ports: [3306, 3307],
  detect,
  createParser,
};
