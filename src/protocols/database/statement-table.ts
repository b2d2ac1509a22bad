// SPDX-License-Identifier: Apache-2.0
import { ByteTable } from "../http1/byte-table.ts";
import { Statement, type StatementFacts } from "./statement.ts";

/** Distinct query texts kept a service; literals in them make as many as there are queries. */
const STATEMENTS_MAX = 512;

/** Statements by what they are without literals, found by the bytes that the client sent. */
export class StatementTable {
  readonly #summarize: (text: string) => StatementFacts;
  readonly #byBytes = new ByteTable<Statement>();
  readonly #byText = new Map<string, Statement>();
  readonly #decoder = new TextDecoder();

  constructor(summarize: (text: string) => StatementFacts) {
    this.#summarize = summarize;
  }

  find(bytes: Uint8Array, start: number, end: number): Statement {
    const found = this.#byBytes.find(bytes, start, end);
    if (found !== undefined) return found;
    const facts = this.#summarize(this.#decoder.decode(bytes.subarray(start, end)));
    let statement = this.#byText.get(facts.text);
    if (statement === undefined) {
      if (this.#byText.size >= STATEMENTS_MAX) this.#byText.clear();
      statement = new Statement(facts);
      this.#byText.set(facts.text, statement);
    }
    if (this.#byBytes.count >= STATEMENTS_MAX) this.#byBytes.clear();
    this.#byBytes.add(bytes, start, end, statement);
    return statement;
  }
}
