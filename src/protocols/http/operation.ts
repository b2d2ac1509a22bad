// SPDX-License-Identifier: Apache-2.0
import { ByteTable } from "../http1/byte-table.ts";

/** What is called, made once: an RPC method, an operation of a search engine or of AWS. */
export class Operation {
  /** Differs between the operations of a table. */
  readonly id: number;
  /** Such as `shop.Prices/Get`, `search`, `S3/GetObject`. */
  readonly name: string;
  /** What it is done to, an index for instance; empty where there is nothing. */
  readonly collection: string;
  readonly spanName: string;

  constructor(id: number, name: string, collection: string, spanName: string) {
    this.id = id;
    this.name = name;
    this.collection = collection;
    this.spanName = spanName;
  }
}

/** Operations of one service, at most `operationsMax`. */
export class OperationTable {
  readonly #byPath = new ByteTable<Operation>();
  readonly #byName = new Map<string, Operation>();
  readonly #operationsMax: number;
  /** A name that is not believed to be one of the service's. */
  readonly other: Operation = new Operation(0, "_OTHER", "", "");

  constructor(operationsMax: number) {
    this.#operationsMax = operationsMax;
  }

  /** One that is named by `path[start … end)`. `doubtful` ones may take half of the table. */
  byPath(path: Uint8Array, start: number, end: number, doubtful: boolean): Operation | undefined {
    const found = this.#byPath.find(path, start, end);
    if (found !== undefined || this.#isFull) return found;
    if (doubtful && this.#nextId > this.#operationsMax / 2) return undefined;
    const name = new TextDecoder().decode(path.slice(start, end));
    const created = new Operation(this.#nextId, name, "", name);
    this.#byPath.add(path, start, end, created);
    return created;
  }

  /** Undefined when there are too many; without a collection there seldom are. */
  byName(name: string, collection: string, spanName: string): Operation | undefined {
    const key = `${name} ${collection}`;
    const found = this.#byName.get(key);
    if (found !== undefined || this.#isFull) return found;
    const created = new Operation(this.#nextId, name, collection, spanName);
    this.#byName.set(key, created);
    return created;
  }

  get #isFull(): boolean {
    return this.#nextId > this.#operationsMax;
  }

  get #nextId(): number {
    return this.#byPath.count + this.#byName.size + 1;
  }
}
