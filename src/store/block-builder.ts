// SPDX-License-Identifier: Apache-2.0

import {
  forEachSpan,
  type MessageView,
  type SpanContext,
  type SpanView,
} from "../pdata/span-view.ts";
import { BLOCK_SPANS_MAX, type Columns, traceHashOf } from "./columns.ts";
import { microsecondsAt } from "./epoch-time.ts";
import { NAME_OTHER, type NameTable } from "./name-table.ts";
import { serviceNameIn } from "./resource-name.ts";

const TWO_32 = 2 ** 32;
const EMPTY = new Uint8Array(0);

/** A block that takes no more: the bytes as they arrived, and their columns. */
export interface Block {
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  readonly columns: Columns;
}

/** Looks at each span of a block while its bytes are at hand. */
export interface SpanObserver {
  /** The spans that follow are of this service; undefined is one without a name. */
  resource(name: MessageView | undefined): void;
  observe(span: SpanView, columns: Columns, row: number): void;
}

/** Gathers chunks into a block and reads from each span what is searched. */
export class BlockBuilder {
  readonly #names: NameTable;
  readonly #observer: SpanObserver | undefined;
  #columns = emptyColumns();
  #count = 0;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #resource: MessageView | undefined;
  #service = NAME_OTHER;

  constructor(names: NameTable, observer?: SpanObserver) {
    this.#names = names;
    this.#observer = observer;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The chunk must not have more spans than `BLOCK_SPANS_MAX - count`; what is beyond is not found. */
  add(chunk: Uint8Array): void {
    this.#resource = undefined;
    forEachSpan(chunk, (span, context) => this.#span(span, context));
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  take(): Block {
    const columns = { ...this.#columns, count: this.#count };
    const block = { chunks: this.#chunks, bytes: this.#bytes, columns };
    this.#columns = emptyColumns();
    this.#count = 0;
    this.#chunks = [];
    this.#bytes = 0;
    return block;
  }

  #span(span: SpanView, { resource }: SpanContext): void {
    if (this.#count === BLOCK_SPANS_MAX) return;
    if (resource !== this.#resource) {
      this.#resource = resource;
      const name = serviceNameIn(resource);
      this.#observer?.resource(name);
      this.#service =
        name === undefined
          ? this.#names.intern(EMPTY, 0, 0)
          : this.#names.intern(name.bytes, name.start, name.end);
    }
    const row = this.#count++;
    const { bytes } = span;
    const columns = this.#columns;
    columns.service[row] = this.#service;
    columns.operation[row] = this.#names.intern(
      bytes,
      Math.max(span.nameStart, 0),
      Math.max(span.nameStop, 0),
    );
    columns.flags[row] = (span.kind & 7) | ((span.statusCode & 3) << 3);
    if (span.startTimeAt >= 0) {
      const startUs = microsecondsAt(bytes, span.startTimeAt);
      columns.startHigh[row] = startUs / TWO_32;
      columns.startLow[row] = startUs % TWO_32;
    }
    const durationNs = Math.max(span.durationNs, 0);
    columns.durationHigh[row] = durationNs / TWO_32;
    columns.durationLow[row] = durationNs % TWO_32;
    columns.traceHash[row] = span.traceIdStart < 0 ? 0 : traceHashOf(bytes, span.traceIdStart);
    this.#observer?.observe(span, columns, row);
  }
}

function emptyColumns(): Columns {
  const words = (): Uint32Array => new Uint32Array(BLOCK_SPANS_MAX);
  return {
    count: 0,
    service: new Uint16Array(BLOCK_SPANS_MAX),
    operation: new Uint16Array(BLOCK_SPANS_MAX),
    flags: new Uint8Array(BLOCK_SPANS_MAX),
    startLow: words(),
    startHigh: words(),
    durationLow: words(),
    durationHigh: words(),
    traceHash: words(),
  };
}
