// SPDX-License-Identifier: Apache-2.0
import type { ParserOptions } from "../../model/protocol.ts";
import type { DatabaseDetails, DatabaseExchange } from "../database/exchange.ts";
import { Names } from "../database/names.ts";
import { createStatement, type Statement } from "../database/statement.ts";
import { StatementTable } from "../database/statement-table.ts";
import { CQL_DIALECT } from "../sql/dialects.ts";
import { summarizeSql } from "../sql/sql.ts";
import { type Body, readId } from "./body.ts";
import { readInt16, readInt32 } from "./envelope.ts";

export interface CassandraState {
  opcode: number;
}

export type CassandraDetails = DatabaseDetails<CassandraState>;
export type CassandraExchange = DatabaseExchange<CassandraState>;

/** Statements of a batch that are written out. */
const BATCH_SHOWN = 8;
const BATCHES_MAX = 512;
const PREPARED_MAX = 2048;

/** What the connections of one service have in common. */
export class CassandraShared {
  readonly #statements: StatementTable;
  readonly #batches = new Map<string, Statement>();
  /** Prepared on one connection, executed on any: their ids are hashes of their text. */
  readonly prepared: Names<string, Statement> = new Names(PREPARED_MAX);

  constructor(options: ParserOptions) {
    const raw = options.rawStatements;
    this.#statements = new StatementTable((text) => summarizeSql(text, CQL_DIALECT, raw));
  }

  /** A [long string], or as much of it as was seen. */
  statement({ bytes, start, end }: Body): Statement {
    const length = Math.max(0, readInt32(bytes, start));
    const from = Math.min(start + 4, end);
    return this.#statements.find(bytes, from, Math.min(end, from + length));
  }

  /** Of a BATCH: what is seen of its statements, and their number. */
  batch(details: CassandraDetails, body: Body): void {
    const { bytes, end } = body;
    const count = readInt16(bytes, body.start + 1);
    const shown: Statement[] = [];
    let at = body.start + 3;
    for (let left = Math.min(count, BATCH_SHOWN); left > 0 && at < end; left--) {
      const part = { bytes, start: at + 1, end };
      const isText = bytes[at] === 0;
      const found = isText ? this.statement(part) : this.prepared.find(readId(part));
      if (found !== undefined) shown.push(found);
      at += 1 + (isText ? 4 + Math.max(0, readInt32(bytes, at + 1)) : 2 + readInt16(bytes, at + 1));
      let values = at + 2 <= end ? readInt16(bytes, at) : 0;
      at += 2;
      for (; values > 0 && at < end; values--) at += 4 + Math.max(0, readInt32(bytes, at));
    }
    details.batchSize = count;
    details.statement = this.#batch(shown);
  }

  /** The conventions: `BATCH` and the operation that all have in common. */
  #batch(statements: readonly Statement[]): Statement {
    const same = (values: readonly string[]): string =>
      values.every((value) => value === values[0]) ? (values[0] ?? "") : "";
    const facts = statements.map((statement) => statement.facts);
    const text = [...new Set(facts.map((fact) => fact.text))].join("; ");
    let found = this.#batches.get(text);
    if (found === undefined) {
      const operation = `BATCH ${same(facts.map((fact) => fact.operation))}`.trimEnd();
      const collection = same(facts.map((fact) => fact.collection));
      const summary = `BATCH ${same(facts.map((fact) => fact.summary))}`.trimEnd();
      found = createStatement({ operation, collection, summary, text });
      if (this.#batches.size >= BATCHES_MAX) this.#batches.clear();
      this.#batches.set(text, found);
    }
    return found;
  }
}
