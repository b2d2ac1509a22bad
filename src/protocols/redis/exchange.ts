// SPDX-License-Identifier: Apache-2.0
import type { MeasurementSink, SpanSink } from "../../model/attribute.ts";
import type { Exchange, Role } from "../../model/protocol.ts";
import { type Statement, UNKNOWN_STATEMENT } from "./statements.ts";

/** One command and its reply. Pooled: `reset` makes it new. */
export class RedisExchange implements Exchange {
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

  statement: Statement = UNKNOWN_STATEMENT;
  /** Of the database, empty when it is not known. */
  namespace = "";
  /** What the namespace was before a SELECT. */
  namespaceBefore = "";
  /** Replies that are still to come: more than one for subscriptions to several channels. */
  repliesLeft = 1;
  /** The error's prefix, such as WRONGTYPE; else empty. */
  status = "";
  /** `error.type` of an exchange that the connection's end cut short, else empty. */
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
    this.statement = UNKNOWN_STATEMENT;
    this.namespace = "";
    this.namespaceBefore = "";
    this.repliesLeft = 1;
    this.status = "";
    this.failure = "";
  }

  describe(sink: SpanSink): void {
    sink.block(this.statement.blocks(this).span);
  }

  measure(sink: MeasurementSink): void {
    // The conventions measure what clients see only.
    if (this.role === "client") sink.block(this.statement.blocks(this).measurement);
  }
}
