// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_CLICKHOUSE } from "@opentelemetry/semantic-conventions/incubating";
import type { ParserOptions } from "../../model/protocol.ts";
import { ByteCursor, NameTable } from "../byte-cursor.ts";
import {
  type DatabaseDetails,
  type DatabaseExchange,
  type DatabasePool,
  describeDatabase,
} from "../database/exchange.ts";
import { StatementTable } from "../database/statement-table.ts";
import { type Description, ExchangePool } from "../pooled-exchange.ts";
import { CLICKHOUSE_DIALECT } from "../sql/dialects.ts";
import { summarizeSql } from "../sql/sql.ts";

export interface ClickHouseState {
  /** A round trip that runs nothing. */
  isHousekeeping: boolean;
}

export type ClickHouseExchange = DatabaseExchange<ClickHouseState>;

const DESCRIPTION: Description<DatabaseDetails<ClickHouseState>> = describeDatabase({
  system: DB_SYSTEM_NAME_VALUE_CLICKHOUSE,
  createState: () => ({ isHousekeeping: false }),
  resetState: (state) => {
    state.isHousekeeping = false;
  },
});

/** What the connections of one service have in common. */
export class ClickHouseShared {
  readonly options: ParserOptions;
  readonly statements: StatementTable;
  readonly cursor: ByteCursor = new ByteCursor(new NameTable());
  readonly pool: DatabasePool<ClickHouseState> = new ExchangePool(DESCRIPTION);

  constructor(options: ParserOptions) {
    const raw = options.rawStatements;
    this.options = options;
    this.statements = new StatementTable((text) => summarizeSql(text, CLICKHOUSE_DIALECT, raw));
  }
}
