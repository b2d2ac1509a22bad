// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_MYSQL } from "@opentelemetry/semantic-conventions";
import type { ParserOptions } from "../../model/protocol.ts";
import {
  type DatabaseDetails,
  type DatabaseExchange,
  type DatabasePool,
  describeDatabase,
} from "../database/exchange.ts";
import { createStatement, type Statement } from "../database/statement.ts";
import { StatementTable } from "../database/statement-table.ts";
import { type Description, ExchangePool } from "../pooled-exchange.ts";
import { MYSQL_DIALECT } from "../sql/dialects.ts";
import { summarizeSql } from "../sql/sql.ts";
import { COMMAND_NAMES } from "./packet.ts";

export interface MysqlState {
  /** COM_ */
  command: number;
  /** What the connection's database is once this succeeded; empty for no change. */
  nextNamespace: string;
  /** Result sets that came before the one at hand. */
  results: number;
  /** What the next packet of the response is numbered, modulo 256; -1 when it is not known. */
  sequence: number;
}

export type MysqlExchange = DatabaseExchange<MysqlState>;

const DESCRIPTION: Description<DatabaseDetails<MysqlState>> = describeDatabase({
  system: DB_SYSTEM_NAME_VALUE_MYSQL,
  createState: () => ({ command: 0, nextNamespace: "", results: 0, sequence: 1 }),
  resetState: (state) => {
    state.command = 0;
    state.nextNamespace = "";
    state.results = 0;
    state.sequence = 1;
  },
});

/** What the connections of one service have in common. */
export class MysqlShared {
  readonly options: ParserOptions;
  readonly statements: StatementTable;
  readonly commands: ReadonlyMap<number, Statement>;
  readonly pool: DatabasePool<MysqlState> = new ExchangePool(DESCRIPTION);

  constructor(options: ParserOptions) {
    const raw = options.rawStatements;
    this.options = options;
    this.statements = new StatementTable((text) => summarizeSql(text, MYSQL_DIALECT, raw));
    this.commands = new Map(
      [...COMMAND_NAMES].map(([command, operation]) => [command, createStatement({ operation })]),
    );
  }
}
