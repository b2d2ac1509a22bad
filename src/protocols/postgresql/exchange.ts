// SPDX-License-Identifier: Apache-2.0
import type { MeasurementSink, SpanSink } from "../../model/attribute.ts";
import type { Exchange, Role } from "../../model/protocol.ts";
import { describeRows } from "./span.ts";
import { type Statement, UNKNOWN_STATEMENT } from "./statements.ts";

/** Query or FunctionCall: ends with ReadyForQuery. */
export const SIMPLE = 0;
/** Parse, Bind, Describe up to Execute: ends with the Execute's completion. */
export const EXTENDED = 1;

/** One statement and its result. Pooled: `reset` makes it new. */
export class PostgresqlExchange implements Exchange {
  role: Role = "server";
  requestPosition = 0;
  startNs = 0;
  requestEndNs = 0;
  responseStartNs = 0;
  endNs = 0;
  requestTid = 0;
  responseTid = 0;
  pid = 0;
  readonly traceContext: undefined = undefined;
  link: unknown = undefined;

  kind: number = SIMPLE;
  /** EXTENDED: the Execute was sent. */
  executed = false;
  statement: Statement = UNKNOWN_STATEMENT;
  namespace = "";
  /** Rows that a SELECT or FETCH gave, -1 when not known. */
  rows = -1;
  /** SQLSTATE of an error, else empty. */
  status = "";
  /** `error.type` of an exchange that had no result of its own, else empty. */
  failure = "";

  reset(role: Role, position: number, timeNs: number, pid: number, tid: number): void {
    this.role = role;
    this.requestPosition = position;
    this.startNs = timeNs;
    this.requestEndNs = 0;
    this.responseStartNs = 0;
    this.endNs = 0;
    this.requestTid = tid;
    this.responseTid = 0;
    this.pid = pid;
    this.link = undefined;
    this.kind = SIMPLE;
    this.executed = false;
    this.statement = UNKNOWN_STATEMENT;
    this.namespace = "";
    this.rows = -1;
    this.status = "";
    this.failure = "";
  }

  describe(sink: SpanSink): void {
    sink.block(this.statement.blocks(this).span);
    describeRows(this.rows, sink);
  }

  measure(sink: MeasurementSink): void {
    // The conventions measure what clients see only.
    if (this.role === "client") sink.block(this.statement.blocks(this).measurement);
  }
}
