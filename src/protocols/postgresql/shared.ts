// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../../model/protocol.ts";
import type { DatabasePool } from "../database/exchange.ts";
import { StatementTable } from "../database/statement-table.ts";
import { ExchangePool } from "../pooled-exchange.ts";
import { POSTGRESQL_DIALECT } from "../sql/dialects.ts";
import { summarizeSql } from "../sql/sql.ts";
import { DESCRIPTION, type PostgresqlState } from "./exchange.ts";

/** What the connections of one service have in common. */
export class PostgresqlShared {
  readonly options: ParserOptions;
  readonly statements: StatementTable;
  readonly pool: DatabasePool<PostgresqlState> = new ExchangePool(DESCRIPTION);

  constructor(options: ParserOptions) {
    this.options = options;
    const raw = options.rawStatements;
    this.statements = new StatementTable((text) => summarizeSql(text, POSTGRESQL_DIALECT, raw));
  }
}
