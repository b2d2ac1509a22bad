// SPDX-License-Identifier: Apache-2.0
import { type MeasurementSink, SharedBlock, type SpanSink } from "../../model/attribute.ts";
import type { Role } from "../../model/protocol.ts";
import { ByteTable } from "../http1/byte-table.ts";
import { describeSummary, measureSummary } from "./span.ts";
import { type SqlSummary, summarizeSql } from "./sql.ts";

/** Distinct query texts kept a service; literals in them make as many as there are queries. */
const STATEMENTS_MAX = 512;
const BLOCKS_MAX = 16;

/** What many exchanges have in common. */
export interface Summary {
  readonly role: Role;
  readonly sql: SqlSummary;
  readonly namespace: string;
  /** SQLSTATE of an error, else empty. */
  readonly status: string;
  readonly failure: string;
}

type Variable = Pick<Summary, "role" | "namespace" | "status" | "failure">;

class Blocks {
  readonly summary: Summary;
  readonly span: SharedBlock<SpanSink>;
  readonly measurement: SharedBlock<MeasurementSink>;

  constructor(summary: Summary) {
    this.summary = summary;
    this.span = new SharedBlock((sink) => describeSummary(summary, sink));
    this.measurement = new SharedBlock((sink) => measureSummary(summary, sink));
  }

  matches(given: Variable): boolean {
    const { role, namespace, status, failure } = this.summary;
    return (
      role === given.role &&
      status === given.status &&
      namespace === given.namespace &&
      failure === given.failure
    );
  }
}

/** A query text without its literals. */
export class Statement {
  readonly sql: SqlSummary;
  readonly #blocks: Blocks[] = [];
  #next = 0;

  constructor(sql: SqlSummary) {
    this.sql = sql;
  }

  blocks(given: Variable): Blocks {
    for (const blocks of this.#blocks) if (blocks.matches(given)) return blocks;
    const { role, namespace, status, failure } = given;
    const created = new Blocks({ role, sql: this.sql, namespace, status, failure });
    this.#blocks[this.#next++ % BLOCKS_MAX] = created;
    return created;
  }
}

/** Of an Execute whose Parse was not seen. */
export const UNKNOWN_STATEMENT: Statement = new Statement({
  text: "",
  summary: "",
  operation: "",
  collection: "",
});

/** Statements by what they are without literals, found by the bytes that the client sent. */
export class StatementTable {
  readonly #byBytes = new ByteTable<Statement>();
  readonly #byText = new Map<string, Statement>();
  readonly #decoder = new TextDecoder();

  find(bytes: Uint8Array, start: number, end: number): Statement {
    const found = this.#byBytes.find(bytes, start, end);
    if (found !== undefined) return found;
    const sql = summarizeSql(this.#decoder.decode(bytes.subarray(start, end)));
    let statement = this.#byText.get(sql.text);
    if (statement === undefined) {
      if (this.#byText.size >= STATEMENTS_MAX) this.#byText.clear();
      statement = new Statement(sql);
      this.#byText.set(sql.text, statement);
    }
    if (this.#byBytes.count >= STATEMENTS_MAX) this.#byBytes.clear();
    this.#byBytes.add(bytes, start, end, statement);
    return statement;
  }
}
