// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../../model/protocol.ts";
import { PostgresqlExchange } from "./exchange.ts";
import { StatementTable } from "./statements.ts";

const POOL_MAX = 4096;

/** What the connections of one service have in common. */
export class PostgresqlShared {
  readonly options: ParserOptions;
  readonly statements: StatementTable = new StatementTable();
  readonly #pool: PostgresqlExchange[] = [];

  constructor(options: ParserOptions) {
    this.options = options;
  }

  createExchange(): PostgresqlExchange {
    return this.#pool.pop() ?? new PostgresqlExchange();
  }

  recycle(exchange: PostgresqlExchange): void {
    exchange.link = undefined;
    if (this.#pool.length < POOL_MAX) this.#pool.push(exchange);
  }
}
