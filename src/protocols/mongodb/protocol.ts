// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_MONGODB } from "@opentelemetry/semantic-conventions/incubating";
import type { Protocol } from "../../model/protocol.ts";
import { correlatedParser } from "../correlated-parser.ts";
import { describeDatabase } from "../database/exchange.ts";
import { perService } from "../per-service.ts";
import { type MongodbState, MongodbStatements } from "./commands.ts";
import { MongodbDialect } from "./dialect.ts";
import { detect } from "./message.ts";

const statementsOf = perService((options) => new MongodbStatements(options.rawStatements));

export const MONGODB: Protocol = {
  name: "mongodb",
  ports: [27017, 27018, 27019],
  detect,
  createParser: correlatedParser(
    describeDatabase<MongodbState>({
      system: DB_SYSTEM_NAME_VALUE_MONGODB,
      createState: () => ({ isHousekeeping: false }),
      resetState: (state) => {
        state.isHousekeeping = false;
      },
    }),
    (exchanges, options) => new MongodbDialect(exchanges, statementsOf(options)),
  ),
};
