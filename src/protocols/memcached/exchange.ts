// SPDX-License-Identifier: Apache-2.0
import { DB_SYSTEM_NAME_VALUE_MEMCACHED } from "@opentelemetry/semantic-conventions/incubating";
import type { ParserOptions } from "../../model/protocol.ts";
import {
  type DatabaseDetails,
  type DatabaseExchange,
  type DatabasePool,
  describeDatabase,
} from "../database/exchange.ts";
import { createStatement, type Statement } from "../database/statement.ts";
import { type Description, ExchangePool } from "../pooled-exchange.ts";
import { LINE } from "./commands.ts";

/** Keys that are written out in a statement. */
const KEYS_SHOWN = 16;
/** Of a key or line, where they are wanted raw. */
const RAW_BYTES_MAX = 512;

export interface MemcachedState {
  /** Text: what answers it. */
  answer: number;
  /** Binary: the opcode. */
  opcode: number;
  /** What its response names it by: a number, or text of a meta command; undefined without. */
  opaque: number | string | undefined;
  /** It may have no response. */
  isQuiet: boolean;
}

export type MemcachedExchange = DatabaseExchange<MemcachedState>;

const DESCRIPTION: Description<DatabaseDetails<MemcachedState>> = describeDatabase({
  system: DB_SYSTEM_NAME_VALUE_MEMCACHED,
  createState: () => ({ answer: LINE, opcode: -1, opaque: undefined, isQuiet: false }),
  resetState: (state) => {
    state.answer = LINE;
    state.opcode = -1;
    state.opaque = undefined;
    state.isQuiet = false;
  },
});

/** What the connections of one service have in common. */
export class MemcachedShared {
  readonly options: ParserOptions;
  readonly pool: DatabasePool<MemcachedState> = new ExchangePool(DESCRIPTION);
  readonly #statements = new Map<string, (Statement | undefined)[]>();
  readonly #decoder = new TextDecoder();

  constructor(options: ParserOptions) {
    this.options = options;
  }

  /** `get ? ?`: the operation and its keys, which are left out. */
  statement(operation: string, keys: number): Statement {
    let byCount = this.#statements.get(operation);
    if (byCount === undefined) {
      // Operations are of the tables in commands.ts: this is bounded.
      byCount = [];
      this.#statements.set(operation, byCount);
    }
    const shown = Math.min(keys, KEYS_SHOWN + 1);
    const rest = shown > KEYS_SHOWN ? " ..." : "";
    const text = operation + " ?".repeat(Math.min(shown, KEYS_SHOWN)) + rest;
    byCount[shown] ??= createStatement({ operation, text });
    return byCount[shown];
  }

  /** The same with the text as it was sent, if that is wanted. */
  rawStatement(statement: Statement, bytes: Uint8Array, start: number, end: number): Statement {
    if (!this.options.rawStatements) return statement;
    const stop = Math.min(end, start + RAW_BYTES_MAX);
    return statement.withText(this.#decoder.decode(bytes.subarray(start, stop)));
  }
}
