// SPDX-License-Identifier: Apache-2.0

import {
  forEachSpan,
  type MessageView,
  type SpanContext,
  type SpanView,
} from "../pdata/span-view.ts";
import { AttributeFilterBuilder } from "./attribute-filter.ts";
import {
  BLOCK_SPANS_MAX,
  type Columns,
  emptyColumns,
  HAS_PARENT_ID,
  HAS_SPAN_ID,
  HAS_TRACE_ID,
  SPAN_ID_BYTES,
  TRACE_ID_BYTES,
  traceHashOf,
} from "./columns.ts";
import { microsecondsAt } from "./epoch-time.ts";
import { NAME_OTHER, type NameTable } from "./name-table.ts";
import { serviceNameIn } from "./resource-name.ts";

const TWO_32 = 2 ** 32;
const EMPTY = new Uint8Array(0);
const MEMORY_BYTES_MIN = 256 * 1024;
const MEMORY_BYTES_MAX = 2 * 1024 * 1024;
const SPARE_MAX = 6;
const SPAN_ATTRIBUTES = 9;
const RESOURCE_ATTRIBUTES = 1;
/** Ids of a span: of its trace, its own, its parent's. */
const IDS = 3;

/** A block that takes no more. */
export interface Block {
  /** The bytes as they arrived, but for the ids, which are 0: those are in the columns. */
  readonly spans: Uint8Array;
  readonly columns: Columns;
  /** Which attributes there are, for `mayHaveAttributes`. */
  readonly attributes: Uint8Array;
  /** Nobody reads `spans` any more: its memory may be used again. */
  readonly release: () => void;
}

/** Memory for the bytes of some blocks, used again and again. */
export class BlockMemory {
  readonly #spare: Buffer[] = [];

  /** At least so many bytes. */
  take(bytes: number): Buffer {
    const spare = this.#spare.pop();
    return spare !== undefined && spare.length >= bytes
      ? spare
      : Buffer.allocUnsafeSlow(Math.max(bytes, MEMORY_BYTES_MIN));
  }

  give(memory: Buffer): void {
    const isKept = memory.length <= MEMORY_BYTES_MAX && this.#spare.length < SPARE_MAX;
    if (isKept) this.#spare.push(memory);
  }
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
  readonly #memory: BlockMemory;
  readonly #attributes = new AttributeFilterBuilder();
  /** Where the ids of each span stand in the block's bytes, and -1. */
  readonly #idsAt = new Int32Array(BLOCK_SPANS_MAX * IDS);
  #columns = emptyColumns();
  #count = 0;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #resource: MessageView | undefined;
  #service = NAME_OTHER;

  constructor(names: NameTable, observer?: SpanObserver, memory: BlockMemory = new BlockMemory()) {
    this.#names = names;
    this.#observer = observer;
    this.#memory = memory;
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
    // A copy: what arrived may be on its way to others, too.
    const memory = this.#memory.take(this.#bytes);
    const spans = memory.subarray(0, this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      spans.set(chunk, at);
      at += chunk.length;
    }
    this.#clearIds(spans);
    const release = (): void => this.#memory.give(memory);
    const block = { spans, columns, attributes: this.#attributes.take(), release };
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
      this.#attributes.read(resource.bytes, resource, RESOURCE_ATTRIBUTES);
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
    this.#takeIds(span, row);
    this.#attributes.read(bytes, span, SPAN_ATTRIBUTES);
    this.#observer?.observe(span, columns, row);
  }

  #takeIds({ bytes, traceIdStart, spanIdStart, parentSpanIdStart }: SpanView, row: number): void {
    const { present, traceIds, spanIds, parentIds } = this.#columns;
    const at = this.#idsAt;
    const base = this.#bytes;
    at[IDS * row] = traceIdStart < 0 ? -1 : base + traceIdStart;
    at[IDS * row + 1] = spanIdStart < 0 ? -1 : base + spanIdStart;
    at[IDS * row + 2] = parentSpanIdStart < 0 ? -1 : base + parentSpanIdStart;
    let bits = 0;
    if (traceIdStart >= 0) {
      bits |= HAS_TRACE_ID;
      copy(bytes, traceIdStart, { to: traceIds, at: row * TRACE_ID_BYTES, length: TRACE_ID_BYTES });
    }
    if (spanIdStart >= 0) {
      bits |= HAS_SPAN_ID;
      copy(bytes, spanIdStart, { to: spanIds, at: row * SPAN_ID_BYTES, length: SPAN_ID_BYTES });
    }
    if (parentSpanIdStart >= 0) {
      bits |= HAS_PARENT_ID;
      const at = row * SPAN_ID_BYTES;
      copy(bytes, parentSpanIdStart, { to: parentIds, at, length: SPAN_ID_BYTES });
    }
    present[row] = bits;
  }

  /** What is random does not compress, so it is kept once, where it is searched. */
  #clearIds(bytes: Uint8Array): void {
    const stop = IDS * this.#count;
    for (let index = 0; index < stop; index++) {
      const at = this.#idsAt[index] ?? -1;
      if (at < 0) continue;
      const end = at + (index % IDS === 0 ? TRACE_ID_BYTES : SPAN_ID_BYTES);
      for (let byte = at; byte < end; byte++) bytes[byte] = 0;
    }
  }
}
function copy(
  from: Uint8Array,
  start: number,
  { to, at, length }: { readonly to: Uint8Array; readonly at: number; readonly length: number },
): void {
  for (let index = 0; index < length; index++) to[at + index] = from[start + index] ?? 0;
}
