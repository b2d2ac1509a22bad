// SPDX-License-Identifier: Apache-2.0
import type { DatabaseDetails, DatabaseExchange } from "../database/exchange.ts";
import { createStatement, type Statement } from "../database/statement.ts";
import {
  ARRAY,
  BsonElements,
  countElements,
  DOCUMENT,
  readInt32,
  readNumber,
  readString,
  readText,
  STRING,
  stringEnd,
  toText,
} from "./bson.ts";

export interface MongodbState {
  /** A round trip of the drivers' own. */
  isHousekeeping: boolean;
}

export type MongodbExchange = DatabaseExchange<MongodbState>;
export type MongodbDetails = DatabaseDetails<MongodbState>;

/** https://www.mongodb.com/docs/manual/reference/command/: the first value names a collection. */
const ON_COLLECTION: ReadonlySet<string> = new Set(
  `aggregate count distinct mapReduce mapreduce delete find findAndModify findandmodify insert update
   create createIndexes drop dropIndexes deleteIndexes listIndexes collMod compact convertToCapped
   validate collStats collstats reIndex killCursors cloneCollectionAsCapped createSearchIndexes
   dropSearchIndex updateSearchIndex bulkWrite getMore planCacheClear`.split(/\s+/),
);
/** Greetings, heartbeats and authentication. */
const HOUSEKEEPING: ReadonlySet<string> = new Set(
  "hello isMaster ismaster saslStart saslContinue authenticate getnonce logout".split(" "),
);
/** What drivers add to every command. */
const ADDED: ReadonlySet<string> = new Set(
  `$db lsid $clusterTime txnNumber $readPreference startTransaction autocommit apiVersion apiStrict
   apiDeprecationErrors clientOperationKey`.split(/\s+/),
);
/** What a batch is made of. */
const BATCHES: ReadonlySet<string> = new Set(["documents", "updates", "deletes", "ops"]);
const NAME = /^[A-Za-z_$][\w$]{0,63}$/;
const STATEMENTS_MAX = 512;

/** Statements of a service, by their text. */
export class MongodbStatements {
  readonly #raw: boolean;
  readonly #statements = new Map<string, Statement>();

  constructor(raw: boolean) {
    this.#raw = raw;
  }

  /** The command that a document holds. */
  command(details: MongodbDetails, bytes: Uint8Array, start: number, end: number): void {
    const elements = new BsonElements(bytes, start, end);
    if (!elements.next()) return;
    const operation = NAME.test(elements.name) ? elements.name : "_OTHER";
    const isOnCollection = ON_COLLECTION.has(operation);
    let collection = isOnCollection && elements.type === STRING ? readString(bytes, elements) : "";
    details.state.isHousekeeping = HOUSEKEEPING.has(operation);
    while (elements.next()) {
      const { name, type } = elements;
      if (name === "$db" && type === STRING) details.namespace = readString(bytes, elements);
      else if (name === "collection" && type === STRING && operation === "getMore") {
        collection = readString(bytes, elements);
      } else if (BATCHES.has(name) && type === ARRAY) {
        const count = countElements(bytes, elements.start, elements.end);
        details.batchSize += Math.max(0, count);
      }
    }
    const shape = {
      raw: this.#raw,
      without: ADDED,
      showFirst: isOnCollection && collection !== "",
    };
    const text = toText(bytes, start, end, {
      ...shape,
      showFirst: shape.showFirst && operation !== "getMore",
    });
    details.statement = this.statement(operation, collection, text);
  }

  statement(operation: string, collection: string, text: string): Statement {
    const key = `${operation}\0${collection}\0${text}`;
    let statement = this.#statements.get(key);
    if (statement === undefined) {
      if (this.#statements.size >= STATEMENTS_MAX) this.#statements.clear();
      statement = createStatement({ operation, collection, text });
      this.#statements.set(key, statement);
    }
    return statement;
  }

  /** `database.collection` of the messages before OP_MSG, then what follows it. */
  legacy(details: MongodbDetails, operation: string, name: string): void {
    const dot = name.indexOf(".");
    details.namespace = dot < 0 ? name : name.slice(0, dot);
    details.statement = this.statement(operation, dot < 0 ? "" : name.slice(dot + 1), "");
  }
}

/** OP_MSG's sections: one document, and rows of documents that belong into it. */
export function readSections(
  details: MongodbDetails,
  statements: MongodbStatements,
  body: { readonly bytes: Uint8Array; readonly start: number; readonly end: number },
): void {
  const { bytes, end } = body;
  let at = body.start;
  while (at + 5 <= end) {
    const kind = bytes[at] ?? 0;
    const length = readInt32(bytes, at + 1);
    if (kind > 1 || length < 5) return;
    if (kind === 0) statements.command(details, bytes, at + 1, end);
    else {
      const nameEnd = stringEnd(bytes, at + 5, end);
      const rows = countRows(bytes, nameEnd + 1, { seen: end, end: at + 1 + length });
      if (BATCHES.has(readText(bytes, at + 5, nameEnd))) details.batchSize += rows;
    }
    at += 1 + length;
  }
}

/** Documents one after the other; 0 when not all of them are there. */
function countRows(
  bytes: Uint8Array,
  start: number,
  limits: { readonly seen: number; readonly end: number },
): number {
  let count = 0;
  let at = start;
  while (at < limits.end) {
    const length = at + 4 <= limits.seen ? readInt32(bytes, at) : 0;
    if (length < 5) return 0;
    at += length;
    count++;
  }
  return at === limits.end ? count : 0;
}

/** `ok`, `code`, `codeName`, the first of `writeErrors`, and how much a cursor gave. */
export function readReply(
  details: MongodbDetails,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const elements = new BsonElements(bytes, start, end);
  let isOk = true;
  while (elements.next()) {
    const { name, type } = elements;
    if (name === "ok") isOk = readNumber(bytes, elements) !== 0;
    else if (name === "code") readCode(details, readNumber(bytes, elements));
    else if (name === "codeName" && type === STRING) details.detail = readString(bytes, elements);
    else if (name === "writeErrors" && type === ARRAY) {
      readWriteErrors(details, bytes, new BsonElements(bytes, elements.start, elements.end));
    } else if (name === "cursor" && type === DOCUMENT) {
      readCursor(details, bytes, new BsonElements(bytes, elements.start, elements.end));
    }
  }
  if (!isOk && details.status === "") details.status = "_OTHER";
}

function readCode(details: MongodbDetails, code: number): void {
  if (Number.isInteger(code)) details.status = String(code);
}

function readWriteErrors(details: MongodbDetails, bytes: Uint8Array, errors: BsonElements): void {
  if (!errors.next() || errors.type !== DOCUMENT) return;
  const fields = new BsonElements(bytes, errors.start, errors.end);
  while (fields.next()) if (fields.name === "code") readCode(details, readNumber(bytes, fields));
}

function readCursor(details: MongodbDetails, bytes: Uint8Array, cursor: BsonElements): void {
  while (cursor.next()) {
    const isBatch = cursor.name === "firstBatch" || cursor.name === "nextBatch";
    if (isBatch && cursor.type === ARRAY) {
      details.rows = countElements(bytes, cursor.start, cursor.end);
    }
  }
}
