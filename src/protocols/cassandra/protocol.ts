// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_CASSANDRA } from "@opentelemetry/semantic-conventions/incubating";
import type { Protocol } from "../../model/protocol.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { describeDatabase } from "../database/exchange.ts";
import { perService } from "../per-service.ts";
import { CassandraDialect } from "./dialect.ts";
import { detect } from "./envelope.ts";
import { CassandraShared, type CassandraState } from "./shared.ts";

const sharedOf = perService((options) => new CassandraShared(options));

export const CASSANDRA: Protocol = {
  name: "cassandra",
  ports: [9042],
  detect,
  createParser: correlatedParser(
    describeDatabase<CassandraState>({
      system: DB_SYSTEM_NAME_VALUE_CASSANDRA,
      createState: () => ({ opcode: 0 }),
      resetState: (state) => {
        state.opcode = 0;
      },
    }),
    (exchanges, options) => new CassandraDialect(exchanges, sharedOf(options)),
  ),
};
