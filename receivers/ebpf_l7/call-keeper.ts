// SPDX-License-Identifier: Apache-2.0
import { type DataRecord, SENT } from "../../src/model/protocol.ts";
import type { RecordKeeper } from "../../src/protocols/detection.ts";
import { RecordCopy } from "../../src/protocols/record-copy.ts";
import type { Connection } from "./connection.ts";
import type { CallFacts, DataCursor } from "./decode.ts";

/**
 * Keeps records of one connection until its protocol is known. When they are played again, cursor
 * and connection say what they said when the record came: stitching asks them.
 */
export class CallKeeper implements RecordKeeper {
  readonly #connection: Connection;
  readonly #cursor: DataCursor;
  readonly #facts = new WeakMap<DataRecord, CallFacts>();

  constructor(connection: Connection, cursor: DataCursor) {
    this.#connection = connection;
    this.#cursor = cursor;
  }

  copy(record: DataRecord): DataRecord {
    const copy = new RecordCopy(record);
    this.#facts.set(copy, this.#cursor.facts());
    return copy;
  }

  replaying(copy: DataRecord): void {
    const facts = this.#facts.get(copy);
    if (facts !== undefined) this.#cursor.recall(facts);
    this.#connection.replayed = copy;
    const end = copy.position + copy.length;
    if (copy.direction === SENT) this.#connection.sentEnd = end;
    else this.#connection.receivedEnd = end;
  }
}
