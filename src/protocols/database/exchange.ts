// SPDX-License-Identifier: Apache-2.0
import type { Description, ExchangePool, PooledExchange } from "../pooled-exchange.ts";
import { describeCounts } from "./span.ts";
import { type Statement, UNKNOWN_STATEMENT } from "./statement.ts";

/** What every database's exchange has; `state` is what the protocol has to remember besides. */
export interface DatabaseDetails<State> {
  statement: Statement;
  /** `db.system.name` */
  system: string;
  /** Of the database, empty when it is not known. */
  namespace: string;
  /** Rows that were returned, -1 when not known. */
  rows: number;
  /** Statements in a batch, 0 for no batch. */
  batchSize: number;
  /** Code of an error, else empty. */
  status: string;
  /** What the code is called, else empty. */
  detail: string;
  readonly state: State;
}

/** One statement or command and its result. */
export type DatabaseExchange<State> = PooledExchange<DatabaseDetails<State>>;

export type DatabasePool<State> = ExchangePool<DatabaseDetails<State>>;

interface DatabaseShape<State> {
  /** `db.system.name` unless an exchange says another. */
  readonly system: string;
  createState(): State;
  resetState(state: State): void;
}

/** By the conventions for database spans and metrics. */
export function describeDatabase<State>(
  shape: DatabaseShape<State>,
): Description<DatabaseDetails<State>> {
  return {
    createDetails: () => ({
      statement: UNKNOWN_STATEMENT,
      system: shape.system,
      namespace: "",
      rows: -1,
      batchSize: 0,
      status: "",
      detail: "",
      state: shape.createState(),
    }),
    resetDetails: (details) => {
      details.statement = UNKNOWN_STATEMENT;
      details.system = shape.system;
      details.namespace = "";
      details.rows = -1;
      details.batchSize = 0;
      details.status = "";
      details.detail = "";
      shape.resetState(details.state);
    },
    describe: (exchange, sink) => {
      sink.block(exchange.details.statement.blocks(exchange).span);
      describeCounts(exchange.details, sink);
    },
    measure: (exchange, sink) => {
      // The conventions measure what clients see only.
      if (exchange.role !== "client") return;
      sink.block(exchange.details.statement.blocks(exchange).measurement);
    },
  };
}

/** The response's first byte, unless one was seen before. */
export function responded(
  exchange: PooledExchange<unknown>,
  record: { readonly timeNs: number; readonly tid: number },
): void {
  if (exchange.responseStartNs !== 0) return;
  exchange.responseStartNs = record.timeNs;
  exchange.responseTid = record.tid;
}
