// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_POSTGRESQL } from "@opentelemetry/semantic-conventions";
import {
  type DatabaseDetails,
  type DatabaseExchange,
  describeDatabase,
} from "../database/exchange.ts";
import type { Description } from "../pooled-exchange.ts";

/** Query or FunctionCall: ends with ReadyForQuery. */
export const SIMPLE = 0;
/** Parse, Bind, Describe up to Execute: ends with the Execute's completion. */
export const EXTENDED = 1;

export interface PostgresqlState {
  kind: number;
  /** EXTENDED: the Execute was sent. */
  executed: boolean;
}

/** One statement and its result. */
export type PostgresqlExchange = DatabaseExchange<PostgresqlState>;

export const DESCRIPTION: Description<DatabaseDetails<PostgresqlState>> = describeDatabase({
  system: DB_SYSTEM_NAME_VALUE_POSTGRESQL,
  createState: () => ({ kind: SIMPLE, executed: false }),
  resetState: (state) => {
    state.kind = SIMPLE;
    state.executed = false;
  },
});
